"""The learning-rate schedules of the epoch-training interface, as its clients write them.

Either a name with its parameters beside it (`"learning_rate_scheduler": "step", "step_size": 30`), or an object
(`{"type": "step", "step_size": 30}`).
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from learning.schedules import (
    Constant,
    Cosine,
    CosineWarmRestarts,
    Linear,
    OneCycle,
    Plateau,
    ScheduleConfig,
    Step,
)

Epochs = Annotated[int, Field(ge=1, le=100_000)]
Factor = Annotated[float, Field(gt=0, lt=1)]
Rate = Annotated[float, Field(ge=0, le=10)]


class _Scheduler(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class StepScheduler(_Scheduler):
    """Times gamma after every `step_size` epochs."""

    type: Literal["step"]
    step_size: Epochs = 30
    gamma: Annotated[float, Field(gt=0, le=1)] = 0.1


class PlateauScheduler(_Scheduler):
    """Times factor after `patience` epochs without a lower validation loss."""

    type: Literal["plateau"]
    patience: Annotated[int, Field(ge=0, le=100_000)] = 5
    factor: Factor = 0.5


class CosineScheduler(_Scheduler):
    """Half a cosine down to eta_min over T_max epochs."""

    type: Literal["cosine"]
    T_max: Epochs = 100
    eta_min: Rate = 0.0001


class WarmRestartsScheduler(_Scheduler):
    """Cosines that start again from the peak, each T_mult times as long."""

    type: Literal["cosine_warm_restarts"]
    T_0: Epochs = 10
    T_mult: Annotated[int, Field(ge=1, le=100)] = 2
    eta_min: Rate = 0.0


class PlainScheduler(_Scheduler):
    """constant, linear (with a warm-up) or one_cycle, which have no parameters here."""

    type: Literal["constant", "linear", "one_cycle"]


Scheduler = Annotated[
    StepScheduler | PlateauScheduler | CosineScheduler | WarmRestartsScheduler | PlainScheduler,
    Field(discriminator="type"),
]
PARAMETERS = ("step_size", "gamma", "patience", "factor", "T_max", "eta_min", "T_0", "T_mult")


def gather_parameters(document: dict[str, Any]) -> dict[str, Any]:
    """A request whose scheduler is an object, whatever way its parameters were written."""
    scheduler = document.get("learning_rate_scheduler")
    beside = {name: document[name] for name in PARAMETERS if name in document}
    if isinstance(scheduler, str):
        scheduler = {"type": scheduler}
    if isinstance(scheduler, dict):
        rest = {name: value for name, value in document.items() if name not in beside}
        return {**rest, "learning_rate_scheduler": {**beside, **scheduler}}
    return document


def schedule_of(scheduler: Scheduler | None) -> ScheduleConfig:
    """lehr's own schedule; none asked for: a constant rate."""
    match scheduler:
        case StepScheduler():
            return Step(step_size=scheduler.step_size, gamma=scheduler.gamma)
        case PlateauScheduler():
            return Plateau(patience=scheduler.patience, factor=scheduler.factor)
        case CosineScheduler():
            return Cosine(T_max=scheduler.T_max, eta_min=scheduler.eta_min)
        case WarmRestartsScheduler():
            return CosineWarmRestarts(T_0=scheduler.T_0, T_mult=scheduler.T_mult, eta_min=scheduler.eta_min)
        case PlainScheduler(type="linear"):
            return Linear()
        case PlainScheduler(type="one_cycle"):
            return OneCycle()
        case _:
            return Constant()
