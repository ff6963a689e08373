"""The reference: a sketch of the data that a version learned from, with what chance alone does to it.

Shapes: N rows, L classes, S statistics, W windows.
"""

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.stats import t as student

from data.schema import Schema
from monitoring.calibration import Calibration, calibrate
from monitoring.config import STATISTICS, Statistic
from monitoring.distances import (
    ALL_POINTS,
    FEWEST_POINTS,
    MOST_POINTS,
    Counts,
    Floats,
    Sketch,
    measure,
    measure_classes,
    sketch_of,
)
from monitoring.estimation import Estimator
from monitoring.performance import Predictions

FEWEST_STRETCHES, MOST_STRETCHES = 20, 40
LEAST_WINDOW = 10
LEAST_DRIFT = 0.1
"""A smaller distance is never marked: a tenth of a deviation, or of the rows elsewhere."""

_CALIBRATION, _ESTIMATOR = "calibration/", "estimator/"

TARGET, PREDICTIONS = "target", "predictions"


@dataclass(frozen=True)
class Channel:
    """What is known of one numeric channel, or of one channel's classes.

    seen: its sketch, or how often each class came and, last, none of them. distances_SW: how far contiguous stretches
    of `window` rows lay from the whole, of `rows` rows, by each of `STATISTICS`. labels: the classes by position;
    empty for a numeric channel.
    """

    seen: Sketch | Counts
    distances_SW: Floats
    window: int
    rows: int
    labels: tuple[str, ...] = ()

    def distance(self, statistic: Statistic, batch: Floats | Counts) -> float:
        """To a batch's sorted readings, or to its counts of classes."""
        return _distance(statistic, self.seen, batch)

    def threshold(self, statistic: Statistic, rows: int, false_alarm: float) -> float:
        """The distance that so many rows without a change exceed with this probability.

        Stretches of the reference itself show what its autocorrelation does: their distances are taken as normal
        around their mean, with Student's t for their small number; of PSI, which is a sum of squares, its root. A
        shorter batch varies more, by √(window/rows); a longer one is not trusted to vary less. Both sides vary: what
        was compared with a whole that it is part of is less far from it than what comes new.
        """
        power = 2 if statistic == "psi" else 1
        distances_W = self.distances_SW[STATISTICS.index(statistic)] ** (1 / power)
        if len(distances_W) < 2:
            return float("inf")
        spread = student.isf(false_alarm, len(distances_W) - 1) * distances_W.std(ddof=1)
        chance = distances_W.mean() + spread * np.sqrt(1 + 1 / len(distances_W))
        inside = 1 - self.window / self.rows
        widened = chance * np.sqrt(max(1.0, self.window / rows) * (1 + rows / self.rows) / inside)
        return max(LEAST_DRIFT, float(widened) ** power)


@dataclass(frozen=True)
class Reference:
    """Sketches of features, target and predictions; the rows themselves are not needed any more.

    calibration: what their rows say about chance, by series (`series_of`). estimator: what the held-out rows say about
    the version's errors; None where they were too few.
    """

    channels: Mapping[str, Channel]
    calibration: Calibration
    estimator: Estimator | None = None

    def save(self) -> bytes:
        """As an npz file."""
        arrays: dict[str, Any] = {"names": np.array(list(self.channels))}
        for i, channel in enumerate(self.channels.values()):
            arrays |= {f"{i}.{name}": array for name, array in _seen_arrays(channel.seen).items()}
            arrays[f"{i}.distances"] = channel.distances_SW
            arrays[f"{i}.numbers"] = np.array([channel.window, channel.rows])
            arrays[f"{i}.labels"] = np.array(channel.labels, dtype=np.str_)
        arrays |= {_CALIBRATION + name: array for name, array in self.calibration.to_arrays().items()}
        if self.estimator is not None:
            arrays |= {_ESTIMATOR + name: array for name, array in self.estimator.to_arrays().items()}
        buffer = io.BytesIO()
        np.savez_compressed(buffer, **arrays)
        return buffer.getvalue()

    @classmethod
    def load(cls, content: bytes) -> "Reference":
        """What `save` wrote."""
        with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
            channels = {str(name): _load_channel(arrays, i) for i, name in enumerate(arrays["names"])}
            calibration, estimator = (_part(arrays, prefix) for prefix in (_CALIBRATION, _ESTIMATOR))
            fitted = Estimator.from_arrays(estimator) if estimator else None
            return cls(channels, Calibration.from_arrays(calibration), fitted)


def make_reference(
    rows: pl.DataFrame,
    schema: Schema,
    predictions: Predictions,
    ends_B: NDArray[np.int64],
    seed: int | None,
    batch_rows: int,
    periods: Sequence[float] = (),
) -> Reference:
    """Sketch the rows that a version learned from, in order of time, and its predictions on them.

    ends_B: the row at which each prediction's window ends. seed: shuffles the rows first, for data without an order in
    time; None keeps the order. batch_rows: of a later batch. periods: of the season, in rows.
    """
    order_N = np.arange(rows.height) if seed is None else np.random.default_rng(seed).permutation(rows.height)
    points = int(np.clip(ALL_POINTS // len(schema.features), FEWEST_POINTS, MOST_POINTS))
    channels = {name: numeric_channel(values_of(rows[name])[order_N], batch_rows, points) for name in schema.features}
    channels[TARGET] = _target_channel(rows[schema.target], order_N, batch_rows)
    guesses_B = (
        predictions[np.random.default_rng(seed).permutation(len(predictions))] if seed is not None else predictions
    )
    channels[PREDICTIONS] = prediction_channel(guesses_B, batch_rows)
    series = series_of(rows, schema, predictions, ends_B, channels[TARGET].labels)
    shuffled = {name: values_N[order_N] for name, values_N in series.items()}
    return Reference(channels, calibrate(shuffled, batch_rows, tuple(periods), seed is None, schema.features))


def series_of(
    rows: pl.DataFrame, schema: Schema, predictions: Predictions, ends_B: NDArray[np.int64], labels: tuple[str, ...]
) -> dict[str, Floats]:
    """What is watched for drift, row by row: readings, the target and the predictions, NaN where there is none.

    Classes come one by one, as zeros and ones of the target and as predicted probabilities; of two one tells all.
    """
    series = {name: values_of(rows[name]) for name in schema.features}
    target = rows[schema.target]
    if labels:
        told = target.is_not_null().to_numpy()
        for label in labels[1:]:
            series[f"the target {label}"] = np.where(told, (target == label).fill_null(False).to_numpy(), np.nan)
    else:
        series["the target"] = values_of(target)
    columns = predictions[:, None] if predictions.ndim == 1 else predictions[:, 1:]
    for number, values_B in enumerate(columns.T.astype(np.float64)):
        name = "the predictions" if predictions.ndim == 1 else f"the predictions of class {number + 1}"
        series[name] = np.full(rows.height, np.nan)
        series[name][ends_B] = values_B
    return series


def values_of(column: pl.Series) -> Floats:
    """A numeric column with NaN where a reading is missing."""
    return column.cast(pl.Float64).fill_null(float("nan")).to_numpy()


def class_numbers(column: pl.Series, labels: tuple[str, ...]) -> Floats:
    """The position of each label; a label that is none of them comes after the last."""
    numbers = {label: float(i) for i, label in enumerate(labels)}
    known = column.drop_nulls()
    return known.replace_strict(numbers, default=float(len(labels)), return_dtype=pl.Float64).to_numpy()


def class_counts(numbers_N: Floats, labels: tuple[str, ...]) -> Counts:
    """How often each class comes and, last, none of them."""
    return np.bincount(numbers_N.astype(np.int64), minlength=len(labels) + 1)


def numeric_channel(values_N: Floats, batch_rows: int, points: int = MOST_POINTS) -> Channel:
    """Sketch a channel; missing readings are left out."""
    known_N = values_N[np.isfinite(values_N)]
    return _channel(sketch_of(known_N, points), known_N, batch_rows, ())


def prediction_channel(predictions: Predictions, batch_rows: int) -> Channel:
    """Sketch predicted values, or count the predicted classes."""
    if predictions.ndim == 1:
        return numeric_channel(predictions.astype(np.float64), batch_rows)
    labels = tuple(str(i) for i in range(predictions.shape[1]))
    return _class_channel(predictions.argmax(1).astype(np.float64), batch_rows, labels)


def _target_channel(column: pl.Series, order_N: NDArray[np.int64], batch_rows: int) -> Channel:
    if column.dtype != pl.String:
        return numeric_channel(values_of(column)[order_N], batch_rows)
    labels = tuple(sorted(column.drop_nulls().unique().to_list()))
    return _class_channel(class_numbers(column[order_N], labels), batch_rows, labels)


def _class_channel(numbers_N: Floats, batch_rows: int, labels: tuple[str, ...]) -> Channel:
    return _channel(class_counts(numbers_N, labels), numbers_N, batch_rows, labels)


def _channel(seen: Sketch | Counts, values_N: Floats, batch_rows: int, labels: tuple[str, ...]) -> Channel:
    """With the distances of contiguous stretches, as long as a batch if enough of them fit, from the whole."""
    rows = len(values_N)
    window = min(max(LEAST_WINDOW, batch_rows), rows // FEWEST_STRETCHES)
    if window < LEAST_WINDOW:
        return Channel(seen, np.empty((len(STATISTICS), 0)), window, rows, labels)
    starts = np.linspace(0, rows - window, min(MOST_STRETCHES, rows // window)).astype(np.int64)
    stretches = [values_N[start : start + window] for start in starts]
    summaries = [class_counts(part, labels) if labels else np.sort(part) for part in stretches]
    distances = [[_distance(statistic, seen, summary) for summary in summaries] for statistic in STATISTICS]
    return Channel(seen, np.array(distances), window, rows, labels)


def _distance(statistic: Statistic, seen: Sketch | Counts, batch: Floats | Counts) -> float:
    if isinstance(seen, Sketch):
        return measure(statistic, seen, batch.astype(np.float64, copy=False))
    return measure_classes(statistic, seen, batch.astype(np.int64, copy=False))


def _seen_arrays(seen: Sketch | Counts) -> dict[str, NDArray[Any]]:
    """Readings in single precision where that loses nothing, and counts by their differences, which pack well."""
    if not isinstance(seen, Sketch):
        return {"counts": seen}
    single_K, counts = seen.values_K.astype(np.float32), np.stack([seen.below_K, seen.upto_K], 1).ravel()
    steps = np.diff(counts, prepend=0)
    return {
        "values": single_K if (single_K == seen.values_K).all() else seen.values_K,
        "steps": steps.astype(np.min_scalar_type(int(steps.max(initial=0)))),
        "deviation": np.array(seen.deviation),
    }


def _part(arrays: Any, prefix: str) -> dict[str, Any]:
    return {name.removeprefix(prefix): arrays[name] for name in arrays.files if name.startswith(prefix)}


def _load_channel(arrays: Any, i: int) -> Channel:
    window, rows = arrays[f"{i}.numbers"]
    labels = tuple(str(label) for label in arrays[f"{i}.labels"])
    return Channel(_load_seen(arrays, i), arrays[f"{i}.distances"], int(window), int(rows), labels)


def _load_seen(arrays: Any, i: int) -> Sketch | Counts:
    if f"{i}.counts" in arrays:
        return arrays[f"{i}.counts"]
    counts_K2 = np.cumsum(arrays[f"{i}.steps"], dtype=np.int64).reshape(-1, 2)
    values_K, deviation = arrays[f"{i}.values"].astype(np.float64), float(arrays[f"{i}.deviation"])
    return Sketch(values_K, counts_K2[:, 0], counts_K2[:, 1], deviation)
