"""What a batch's columns look like, to notice another unit and columns that changed places.

Both are told from drift by being exact: a known conversion, or other columns' own values, explain the batch well
while nothing near its own history does.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from data.schema import Schema

LEVELS = (0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0)
LEAST_ROWS = 20
FAR = 2.0
NEAR = 0.35
LEAST_SWAPPED, LEAST_SWAPPED_SHARE = 2, 0.25
HOPELESS = 10.0
MOVED = 1.0

CONVERSIONS: Mapping[str, tuple[float, float]] = {
    "°C given as °F": (1.8, 32.0),
    "°F given as °C": (1 / 1.8, -32 / 1.8),
    "°C given as K": (1.0, 273.15),
    "K given as °C": (1.0, -273.15),
    "bar given as psi": (14.5038, 0.0),
    "psi given as bar": (1 / 14.5038, 0.0),
    "a hundred times the usual unit": (100.0, 0.0),
    "a hundredth of the usual unit": (0.01, 0.0),
    "a thousand times the usual unit": (1000.0, 0.0),
    "a thousandth of the usual unit": (0.001, 0.0),
}
"""Given value = factor · usual value + offset."""

Quantiles = NDArray[np.float64]


def take_fingerprint(frame: pl.DataFrame, schema: Schema) -> dict[str, list[float]]:
    """Quantiles at `LEVELS` of each feature that has enough readings."""
    found = {feature: _quantiles(frame[feature]) for feature in schema.features}
    return {
        feature: [float(f"{q:.7g}") for q in quantiles] for feature, quantiles in found.items() if quantiles is not None
    }


def find_mismatch(frame: pl.DataFrame, fingerprint: Mapping[str, Any]) -> str | None:
    """Why the batch's columns cannot be what their names say; None where nothing speaks against them.

    A column speaks against itself only if its quantiles lie far from its fingerprint, in units of the fingerprint's
    width, and a conversion or another column's fingerprint meets them closely.
    """
    known = {name: np.array(q, dtype=np.float64) for name, q in fingerprint.items() if name in frame.columns}
    found = {name: _quantiles(frame[name]) for name in known}
    strange = {n: q for n, q in found.items() if q is not None and _misfit(known[n], q) > FAR}
    units = {name: unit for name, q in strange.items() if (unit := _conversion(known[name], q)) is not None}
    swapped = _changed_places(known, {n: q for n, q in found.items() if q is not None})
    if len(swapped) >= max(LEAST_SWAPPED, LEAST_SWAPPED_SHARE * len(known), len(units) + 1):
        said = "; ".join(f"{name} holds what {other} used to" for name, other in swapped.items())
        return f"the columns are shifted or swapped: {said}"
    if units:
        said = "; ".join(f"{name} looks like {unit}" for name, unit in units.items())
        return f"another unit of measurement: {said}"
    return None


def _changed_places(known: Mapping[str, Quantiles], found: Mapping[str, Quantiles]) -> dict[str, str]:
    """Columns that hold another column's values, when every column goes to the place that suits it best."""
    names = [name for name in found if known[name][-2] > known[name][1]]
    misfits = np.array([[min(_misfit(known[other], found[name]), HOPELESS) for other in names] for name in names])
    if not names:
        return {}
    _, places = linear_sum_assignment(misfits)
    moved = [(i, j) for i, j in enumerate(places) if misfits[i, i] > MOVED and misfits[i, j] < NEAR]
    return {names[i]: names[j] for i, j in moved}


def _quantiles(column: pl.Series) -> Quantiles | None:
    known = column.drop_nulls().cast(pl.Float64)
    known = known.filter(known.is_finite())
    return np.quantile(known.to_numpy(), LEVELS) if len(known) >= LEAST_ROWS else None


def _misfit(expected: Quantiles, found: Quantiles) -> float:
    """How far the inner quantiles lie from the expected ones, in widths of the expected range; ∞ for a constant."""
    width = expected[-2] - expected[1]
    return float(np.abs(found - expected)[1:-1].max() / width) if width > 0 else 0.0


def _conversion(expected: Quantiles, found: Quantiles) -> str | None:
    fits = {unit: _misfit(expected, (found - offset) / factor) for unit, (factor, offset) in CONVERSIONS.items()}
    best = min(fits, key=lambda unit: fits[unit])
    return best if fits[best] < NEAR and expected[-2] > expected[1] else None
