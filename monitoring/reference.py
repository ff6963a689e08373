"""The reference: a sketch of the data that a version learned from, with what chance alone does to it.

Shapes: N rows, Q quantile levels, W windows.
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
from monitoring.performance import Predictions

LEVELS_Q = np.linspace(0, 1, 257)
WINDOWS = 20
LEAST_WINDOW = 10
LEAST_DRIFT = 0.1
"""Less than a tenth of a deviation, or of the rows in other classes, is never called drift."""

_CALIBRATION = "calibration/"

TARGET, PREDICTIONS = "target", "predictions"

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Channel:
    """One numeric channel, or the shares of one channel's classes.

    sketch: quantiles at `LEVELS_Q`, or the share of each class. scale: the deviation that distances are given in.
    distances_W: how far contiguous stretches of `window` rows lay from the whole, of `rows` rows.
    labels: the classes by position; empty for a numeric channel.
    """

    sketch: Floats
    scale: float
    distances_W: Floats
    window: int
    rows: int
    labels: tuple[str, ...] = ()

    def distance(self, values: Floats) -> float:
        """Wasserstein-1 in deviations of the reference, or for class numbers the total variation of their shares."""
        return _distance(self.sketch, self.scale, values, bool(self.labels))

    def threshold(self, rows: int, false_alarm: float) -> float:
        """The distance that so many rows without a change exceed with this probability.

        Stretches of the reference itself show what its autocorrelation does: their distances are taken as normal
        around their mean, with Student's t for their small number. A shorter batch varies more, by √(window/rows); a
        longer one is not trusted to vary less. Both sides vary: what was compared with a whole that it is part of is
        less far from it than what comes new.
        """
        if len(self.distances_W) < 2:
            return float("inf")
        spread = student.isf(false_alarm, len(self.distances_W) - 1) * self.distances_W.std(ddof=1)
        chance = self.distances_W.mean() + spread * np.sqrt(1 + 1 / len(self.distances_W))
        inside = 1 - self.window / self.rows
        widened = chance * np.sqrt(max(1.0, self.window / rows) * (1 + rows / self.rows) / inside)
        return max(LEAST_DRIFT, float(widened))


@dataclass(frozen=True)
class Reference:
    """Sketches of features, target and predictions; the rows themselves are not needed any more.

    calibration: what their rows say about chance, by series (`series_of`).
    """

    channels: Mapping[str, Channel]
    calibration: Calibration

    def save(self) -> bytes:
        """As an npz file."""
        arrays: dict[str, Any] = {"names": np.array(list(self.channels))}
        for i, channel in enumerate(self.channels.values()):
            arrays[f"{i}.sketch"], arrays[f"{i}.distances"] = channel.sketch, channel.distances_W
            arrays[f"{i}.numbers"] = np.array([channel.scale, channel.window, channel.rows])
            arrays[f"{i}.labels"] = np.array(channel.labels, dtype=np.str_)
        arrays |= {_CALIBRATION + name: array for name, array in self.calibration.to_arrays().items()}
        buffer = io.BytesIO()
        np.savez_compressed(buffer, **arrays)
        return buffer.getvalue()

    @classmethod
    def load(cls, content: bytes) -> "Reference":
        """What `save` wrote."""
        with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
            channels = {str(name): _load_channel(arrays, i) for i, name in enumerate(arrays["names"])}
            calibration = {n.removeprefix(_CALIBRATION): arrays[n] for n in arrays.files if n.startswith(_CALIBRATION)}
            return cls(channels, Calibration.from_arrays(calibration))


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
    channels = {name: numeric_channel(values_of(rows[name])[order_N]) for name in schema.features}
    channels[TARGET] = _target_channel(rows[schema.target], order_N)
    guesses_B = (
        predictions[np.random.default_rng(seed).permutation(len(predictions))] if seed is not None else predictions
    )
    channels[PREDICTIONS] = prediction_channel(guesses_B)
    series = series_of(rows, schema, predictions, ends_B, channels[TARGET].labels)
    shuffled = {name: values_N[order_N] for name, values_N in series.items()}
    return Reference(channels, calibrate(shuffled, batch_rows, tuple(periods), ordered=seed is None))


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


def numeric_channel(values_N: Floats) -> Channel:
    """Sketch a channel; missing readings are left out."""
    known_N = values_N[np.isfinite(values_N)]
    if not len(known_N):
        return Channel(np.zeros(len(LEVELS_Q)), 1.0, np.empty(0), 0, 0)
    scale = float(known_N.std()) or max(1e-9, abs(float(known_N[0])) * 1e-6)
    return _calibrated(np.quantile(known_N, LEVELS_Q), scale, known_N, ())


def prediction_channel(predictions: Predictions) -> Channel:
    """Sketch predicted values, or the shares of the predicted classes."""
    if predictions.ndim == 1:
        return numeric_channel(predictions.astype(np.float64))
    labels = tuple(str(i) for i in range(predictions.shape[1]))
    return _class_channel(predictions.argmax(1).astype(np.float64), labels)


def _target_channel(column: pl.Series, order_N: NDArray[np.int64]) -> Channel:
    if column.dtype != pl.String:
        return numeric_channel(values_of(column)[order_N])
    labels = tuple(sorted(column.drop_nulls().unique().to_list()))
    return _class_channel(class_numbers(column[order_N], labels), labels)


def _class_channel(numbers_N: Floats, labels: tuple[str, ...]) -> Channel:
    return _calibrated(_shares(numbers_N, len(labels)), 1.0, numbers_N, labels)


def _calibrated(sketch: Floats, scale: float, values_N: Floats, labels: tuple[str, ...]) -> Channel:
    window = len(values_N) // WINDOWS
    if window < LEAST_WINDOW:
        return Channel(sketch, scale, np.empty(0), window, len(values_N), labels)
    stretches = values_N[: window * WINDOWS].reshape(WINDOWS, window)
    distances_W = np.array([_distance(sketch, scale, stretch, bool(labels)) for stretch in stretches])
    return Channel(sketch, scale, distances_W, window, len(values_N), labels)


def _distance(sketch: Floats, scale: float, values_N: Floats, classes: bool) -> float:
    if classes:
        return float(np.abs(_shares(values_N, len(sketch)) - np.append(sketch, 0)).sum() / 2) if len(values_N) else 0.0
    return float(np.abs(np.quantile(values_N, LEVELS_Q) - sketch).mean() / scale)


def _shares(numbers_N: Floats, classes: int) -> Floats:
    counts = np.bincount(numbers_N.astype(np.int64), minlength=classes + 1).astype(np.float64)
    return counts / max(1, len(numbers_N))


def _load_channel(arrays: Any, i: int) -> Channel:
    scale, window, rows = arrays[f"{i}.numbers"]
    labels = tuple(str(label) for label in arrays[f"{i}.labels"])
    return Channel(arrays[f"{i}.sketch"], float(scale), arrays[f"{i}.distances"], int(window), int(rows), labels)
