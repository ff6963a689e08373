"""Whether a batch differs from the champion's reference by more than chance and autocorrelation explain."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl

from data.schema import Schema
from monitoring.config import DriftConfig
from monitoring.performance import Predictions
from monitoring.reference import PREDICTIONS, TARGET, Channel, Floats, Reference, class_numbers, values_of

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
    """Distances of features, target and predictions, and what could not be told."""

    drifted: bool
    features: dict[str, Distance]
    target: Distance | None
    predictions: Distance | None
    note: str

    def most_drifted(self, count: int) -> list[str]:
        """The features that lie farthest from the reference, measured by their thresholds."""
        return sorted(self.features, key=lambda name: -self.features[name].excess)[:count]

    @property
    def summary(self) -> str:
        """One sentence with the channel that stands out most."""
        channels = {**self.features, "the target": self.target, "the predictions": self.predictions}
        found = {name: d for name, d in channels.items() if d is not None and d.drifted}
        if not found:
            return f"no drift in {len(self.features)} features"
        worst = max(found, key=lambda name: found[name].excess)
        more = f" and {len(found) - 1} more" if len(found) > 1 else ""
        return f"{worst}{more} drifted: distance {found[worst].distance:.3g}, threshold {found[worst].threshold:.3g}"


def check_drift(
    reference: Reference, frame: pl.DataFrame, schema: Schema, predictions: Predictions, config: DriftConfig
) -> DriftReport:
    """Hold a batch against a reference; reads only the batch.

    The budget of false alarms a year is spread evenly over the channels and, at a batch a day, over 365 batches.
    """
    values = {name: values_of(frame[name]) for name in schema.features}
    target = reference.channels[TARGET]
    values[TARGET] = (
        class_numbers(frame[schema.target], target.labels) if target.labels else values_of(frame[schema.target])
    )
    values[PREDICTIONS] = _predicted(predictions)
    false_alarm = config.false_alarms_per_year / (BATCHES_PER_YEAR * len(values))
    distances = {name: _measure(reference.channels[name], v, false_alarm) for name, v in values.items()}
    measured = {name: distance for name, distance in distances.items() if distance is not None}
    features = {name: distance for name, distance in measured.items() if name in schema.features}
    return DriftReport(
        any(distance.drifted for distance in measured.values()),
        features,
        measured.get(TARGET),
        measured.get(PREDICTIONS),
        _note(reference.channels, [name for name in values if name not in measured]),
    )


def _predicted(predictions: Predictions) -> Floats:
    return (predictions if predictions.ndim == 1 else predictions.argmax(1)).astype(np.float64)


def _measure(channel: Channel, values_N: Floats, false_alarm: float) -> Distance | None:
    known_N = values_N[np.isfinite(values_N)]
    threshold = channel.threshold(max(1, len(known_N)), false_alarm)
    if not len(known_N) or not np.isfinite(threshold):
        return None
    return Distance(channel.distance(known_N), threshold)


def _note(channels: Mapping[str, Channel], missed: list[str]) -> str:
    short = [name for name in missed if not len(channels[name].distances_W)]
    silent = [name for name in missed if name not in short]
    notes = [f"the reference is too short to tell for {', '.join(short)}"] if short else []
    return "; ".join([*notes, f"no readings of {', '.join(silent)}"] if silent else notes)
