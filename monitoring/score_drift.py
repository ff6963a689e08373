"""Whether the champion's losses have risen since it was promoted: detectors of river on the stream of scored rows.

What a batch leaves is small, and all that a detector knows is made of it again, from the promotion on: the same batches
give the same answer. Shapes: B scored rows of one batch, in order of time.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from monitoring.config import AdwinTrigger, DdmTrigger, PageHinkleyTrigger, ScoreDriftTrigger
from monitoring.performance import AnyMetric, Metric, Predictions, row_losses

MOST_LOSSES = 200
MOST_ERRORS = 1_000


@dataclass(frozen=True)
class Scored:
    """What a batch tells the detectors.

    losses: of each row, or of a larger batch the means of so many contiguous stretches. errors: 1 for each row whose
    class was guessed wrong, else 0, of a larger batch of rows evenly apart; empty for regression.
    """

    losses: tuple[float, ...]
    errors: str


def scored_rows(metric: Metric, predictions: Predictions, targets_B: NDArray[Any]) -> Scored:
    """What is kept of a batch; predictions: (B, K) probabilities or (B,) values."""
    losses_B = row_losses(metric, predictions, targets_B)
    parts = np.array_split(losses_B, min(len(losses_B), MOST_LOSSES))
    wrong_B = predictions.argmax(1) != targets_B if predictions.ndim == 2 else np.empty(0, bool)
    places = np.linspace(0, len(wrong_B) - 1, min(len(wrong_B), MOST_ERRORS)).astype(np.int64)
    return Scored(tuple(float(part.mean()) for part in parts), "".join("01"[int(wrong)] for wrong in wrong_B[places]))


def losses_rose(trigger: ScoreDriftTrigger, metric: AnyMetric, since: Sequence[Scored]) -> bool:
    """Whether the detector finds in the latest batch that losses have risen.

    since: all batches that the champion scored since its promotion, the latest last. Losses of values (rmse, mae) are
    taken in units of their mean on the first of them.
    """
    match trigger:
        case DdmTrigger():
            return _errors_rose(trigger, since)
        case AdwinTrigger() | PageHinkleyTrigger():
            first = float(np.mean(since[0].losses)) if metric in ("rmse", "mae") else 1.0
            return _losses_rose(trigger, [[loss / max(first, 1e-12) for loss in batch.losses] for batch in since])


def _losses_rose(trigger: AdwinTrigger | PageHinkleyTrigger, batches: Sequence[Sequence[float]]) -> bool:
    # river is a second of imports, which only who uses it pays for.
    from river.drift import ADWIN, PageHinkley

    if isinstance(trigger, PageHinkleyTrigger):
        detector = PageHinkley(trigger.min_instances, trigger.delta, trigger.threshold, alpha=trigger.alpha, mode="up")
        return [_signals(detector, batch) for batch in batches][-1]
    adwin, rose = ADWIN(delta=trigger.delta, clock=trigger.clock, grace_period=trigger.grace_period), False
    for batch in batches:
        rose = False
        for loss in batch:
            before = adwin.estimation
            adwin.update(loss)
            rose |= adwin.drift_detected and adwin.estimation > before
    return rose


def _errors_rose(trigger: DdmTrigger, since: Sequence[Scored]) -> bool:
    from river.drift.binary import DDM

    detector = DDM(trigger.warm_start, drift_threshold=trigger.drift_threshold)
    return [_signals(detector, [error == "1" for error in batch.errors]) for batch in since][-1]


def _signals(detector: Any, values: Sequence[float]) -> bool:
    """Whether a detector calls drift at least once in a batch; it starts anew by itself after each time."""
    signals = False
    for value in values:
        detector.update(value)
        signals |= detector.drift_detected
    return signals
