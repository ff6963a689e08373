"""How the learning rate moves over a training.

Pure functions of the place in the training and of the validation losses so far: there is no state to keep.
"""

import math
from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import Field

from data.config import Config

WARM_UP_STEPS = 5
FINAL_SHARE = 0.05
PLATEAU_THRESHOLD = 1e-4


class Linear(Config):
    """Five steps of warm-up, then a straight line down to a twentieth of the peak."""

    kind: Literal["linear"] = "linear"


class Step(Config):
    """Times gamma after every `step_size` epochs."""

    kind: Literal["step"] = "step"
    step_size: int = Field(default=30, ge=1)
    gamma: float = Field(default=0.1, gt=0, le=1)


class Plateau(Config):
    """Times factor after `patience` epochs in which the validation loss was not lower."""

    kind: Literal["plateau"] = "plateau"
    patience: int = Field(default=5, ge=0)
    factor: float = Field(default=0.5, gt=0, lt=1)


class Cosine(Config):
    """Half a cosine from the peak down to eta_min over T_max epochs, then eta_min."""

    kind: Literal["cosine"] = "cosine"
    T_max: int | None = Field(default=None, ge=1, description="epochs; null: the training's")
    eta_min: float = Field(default=0.0001, ge=0)


class CosineWarmRestarts(Config):
    """Cosines that start again from the peak, each T_mult times as long (Loshchilov & Hutter 2017)."""

    kind: Literal["cosine_warm_restarts"] = "cosine_warm_restarts"
    T_0: int = Field(default=10, ge=1, description="epochs of the first cosine")
    T_mult: int = Field(default=2, ge=1)
    eta_min: float = Field(default=0.0, ge=0)


class OneCycle(Config):
    """Up to the peak and far down again within the training, step by step (Smith & Topin 2018)."""

    kind: Literal["one_cycle"] = "one_cycle"
    pct_start: float = Field(default=0.3, gt=0, lt=1, description="share of the steps that go up")
    div_factor: float = Field(default=25.0, gt=1, description="the peak over the first rate")
    final_div_factor: float = Field(default=1e4, gt=1, description="the first rate over the last")


class Constant(Config):
    """The peak all the time."""

    kind: Literal["constant"] = "constant"


ScheduleConfig = Annotated[
    Linear | Step | Plateau | Cosine | CosineWarmRestarts | OneCycle | Constant, Field(discriminator="kind")
]


def epoch_rates(
    schedule: ScheduleConfig, peak: float, epoch: int, epochs: int, steps: int, validation_losses: Sequence[float]
) -> list[float]:
    """The learning rate of each of an epoch's steps.

    epoch: from 1, of `epochs`. validation_losses: of the epochs before.
    """
    done = epoch - 1
    match schedule:
        case Linear():
            return [_linear(peak, step, epochs * steps) for step in range(done * steps, epoch * steps)]
        case OneCycle():
            return [_one_cycle(schedule, peak, step, epochs * steps) for step in range(done * steps, epoch * steps)]
        case Step():
            rate = peak * schedule.gamma ** (done // schedule.step_size)
        case Plateau():
            rate = peak * schedule.factor ** _plateaus(schedule, validation_losses)
        case Cosine():
            length = schedule.T_max or epochs
            rate = _cosine(peak, min(schedule.eta_min, peak), min(done, length) / length)
        case CosineWarmRestarts():
            rate = _cosine(peak, min(schedule.eta_min, peak), _place_in_cycle(schedule, done))
        case Constant():
            rate = peak
    return [rate] * steps


def _linear(peak: float, step: int, steps: int) -> float:
    warm = min(1.0, (step + 1) / WARM_UP_STEPS)
    return peak * warm * (1 - (1 - FINAL_SHARE) * step / steps)


def _one_cycle(schedule: OneCycle, peak: float, step: int, steps: int) -> float:
    first = peak / schedule.div_factor
    top = schedule.pct_start * steps - 1
    if step <= top:
        return _cosine(first, peak, step / top)
    return _cosine(peak, first / schedule.final_div_factor, (step - top) / max(steps - 1 - top, 1e-9))


def _cosine(start: float, end: float, share: float) -> float:
    return end + (start - end) * (1 + math.cos(math.pi * share)) / 2


def _plateaus(schedule: Plateau, losses: Sequence[float]) -> int:
    """How often `patience` epochs in a row were no better than the best so far."""
    best, bad, found = math.inf, 0, 0
    for loss in losses:
        if loss < best * (1 - PLATEAU_THRESHOLD):
            best, bad = loss, 0
        else:
            bad += 1
        if bad > schedule.patience:
            found, bad = found + 1, 0
    return found


def _place_in_cycle(schedule: CosineWarmRestarts, done: int) -> float:
    length = schedule.T_0
    while done >= length:
        done -= length
        length *= schedule.T_mult
    return done / length
