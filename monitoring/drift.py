"""Whether a batch differs from the champion's reference by more than chance and autocorrelation explain."""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from data.schema import Schema
from monitoring.config import DriftConfig, Statistic
from monitoring.detector import DetectorState, check
from monitoring.distances import Floats, Sketch, chance_of
from monitoring.evidence import DriftEvidence
from monitoring.performance import Predictions
from monitoring.reference import PREDICTIONS, TARGET, Channel, Reference, class_counts, class_numbers, series_of

BATCHES_PER_YEAR = 365


@dataclass(frozen=True)
class Distance:
    """A channel's distance to the reference and the threshold from which on it is marked.

    p_value: of Kolmogorov and Smirnov's test, which takes the rows as independent; None for other statistics.
    """

    distance: float
    threshold: float
    p_value: float | None = None

    @property
    def excess(self) -> float:
        """The distance in thresholds."""
        return self.distance / max(self.threshold, 1e-12)

    @property
    def drifted(self) -> bool:
        """Whether the distance reaches the threshold."""
        return self.distance >= self.threshold


@dataclass(frozen=True)
class DriftReport:
    """Whether it is drift, how far features, target and predictions lie from the reference, and what could not be told.

    The evidence over all batches since the reference decides; the distances are of this batch alone, for people.
    """

    drifted: bool
    features: dict[str, Distance]
    target: Distance | None
    predictions: Distance | None
    note: str
    evidence: DriftEvidence
    statistic: Statistic | Literal["centre"] = "wasserstein"

    def most_drifted(self, count: int) -> list[str]:
        """The features that lie farthest from the reference, measured by their thresholds."""
        return sorted(self.features, key=lambda name: -self.features[name].excess)[:count]

    @property
    def summary(self) -> str:
        """One sentence with what stands out most."""
        return self.evidence.summary


def check_drift(
    reference: Reference,
    state: DetectorState | None,
    frame: pl.DataFrame,
    schema: Schema,
    predictions: Predictions,
    ends_B: NDArray[np.int64],
    config: DriftConfig,
) -> tuple[DriftReport, DetectorState]:
    """Hold a batch, and all since the reference, against it; reads only the batch and the state before it.

    ends_B: the row at which each prediction's window ends. state: None for the first batch. The budget of false alarms
    a year is one over all series and, at a batch a day, over 365 batches.
    """
    labels = reference.channels[TARGET].labels
    series = series_of(frame, schema, predictions, ends_B, labels)
    limit = BATCHES_PER_YEAR / config.false_alarms_per_year
    calibration = reference.calibration
    before = DetectorState.start(calibration) if state is None else state
    after, evidence = check(calibration, before, series, limit, contiguous=calibration.ordered)
    measured = _distances(reference, frame, schema, predictions, config)
    report = DriftReport(
        evidence.drifted,
        {name: distance for name, distance in measured.items() if name in schema.features},
        measured.get(TARGET),
        measured.get(PREDICTIONS),
        _note(evidence),
        evidence,
        config.statistic,
    )
    return report, after


def _distances(
    reference: Reference, frame: pl.DataFrame, schema: Schema, predictions: Predictions, config: DriftConfig
) -> dict[str, Distance]:
    """Of each channel that has enough readings here and in the reference."""
    labels = reference.channels[TARGET].labels
    batch = {name: sorted_readings(frame[name].to_numpy()) for name in schema.features}
    target, guesses_B = frame[schema.target], predictions if predictions.ndim == 1 else predictions.argmax(1)
    batch[TARGET] = class_numbers(target, labels) if labels else sorted_readings(target.to_numpy())
    batch[PREDICTIONS] = sorted_readings(guesses_B)
    false_alarm = config.false_alarms_per_year / (BATCHES_PER_YEAR * len(batch))
    channels = reference.channels
    found = {name: _measure(channels[name], v, config.statistic, false_alarm) for name, v in batch.items()}
    return {name: distance for name, distance in found.items() if distance is not None}


def sorted_readings(values_N: NDArray[Any]) -> Floats:
    """The readings that are there, in rising order; sorted before they are widened, which is faster."""
    return np.sort(values_N[np.isfinite(values_N)]).astype(np.float64)


def _measure(channel: Channel, values_N: Floats, statistic: Statistic, false_alarm: float) -> Distance | None:
    threshold = channel.threshold(statistic, max(1, len(values_N)), false_alarm)
    if not len(values_N) or not np.isfinite(threshold):
        return None
    if not isinstance(channel.seen, Sketch):
        return Distance(channel.distance(statistic, class_counts(values_N, channel.labels)), threshold)
    p_value = chance_of(channel.seen, values_N) if statistic == "kolmogorov_smirnov" else None
    return Distance(channel.distance(statistic, values_N), threshold, p_value)


def _note(evidence: DriftEvidence) -> str:
    """What could not be seen, and why."""
    by_reason: dict[str, list[str]] = {}
    for name, reason in evidence.muted.items():
        by_reason.setdefault(reason, []).append(name)
    notes = [f"{', '.join(names)}: {reason}" for reason, names in by_reason.items()]
    return "; ".join([*notes, *([f"no readings of {', '.join(evidence.silent)}"] if evidence.silent else [])])
