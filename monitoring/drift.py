"""Whether a batch differs from the champion's reference by more than chance and autocorrelation explain."""

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from data.schema import Schema
from monitoring.config import DriftConfig
from monitoring.detector import DetectorState, check
from monitoring.evidence import DriftEvidence
from monitoring.performance import Predictions
from monitoring.reference import PREDICTIONS, TARGET, Channel, Floats, Reference, class_numbers, series_of, values_of

BATCHES_PER_YEAR = 365


@dataclass(frozen=True)
class Distance:
    """A channel's distance to the reference and the threshold from which on it counts as drift."""

    distance: float
    threshold: float

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
    )
    return report, after


def _distances(
    reference: Reference, frame: pl.DataFrame, schema: Schema, predictions: Predictions, config: DriftConfig
) -> dict[str, Distance]:
    """Of each channel that has enough readings here and in the reference."""
    values = {name: values_of(frame[name]) for name in schema.features}
    labels = reference.channels[TARGET].labels
    values[TARGET] = class_numbers(frame[schema.target], labels) if labels else values_of(frame[schema.target])
    values[PREDICTIONS] = _predicted(predictions)
    false_alarm = config.false_alarms_per_year / (BATCHES_PER_YEAR * len(values))
    distances = {name: _measure(reference.channels[name], v, false_alarm) for name, v in values.items()}
    return {name: distance for name, distance in distances.items() if distance is not None}


def _predicted(predictions: Predictions) -> Floats:
    return (predictions if predictions.ndim == 1 else predictions.argmax(1)).astype(np.float64)


def _measure(channel: Channel, values_N: Floats, false_alarm: float) -> Distance | None:
    known_N = values_N[np.isfinite(values_N)]
    threshold = channel.threshold(max(1, len(known_N)), false_alarm)
    if not len(known_N) or not np.isfinite(threshold):
        return None
    return Distance(channel.distance(known_N), threshold)


def _note(evidence: DriftEvidence) -> str:
    """What could not be seen, and why."""
    by_reason: dict[str, list[str]] = {}
    for name, reason in evidence.muted.items():
        by_reason.setdefault(reason, []).append(name)
    notes = [f"{', '.join(names)}: {reason}" for reason, names in by_reason.items()]
    return "; ".join([*notes, *([f"no readings of {', '.join(evidence.silent)}"] if evidence.silent else [])])
