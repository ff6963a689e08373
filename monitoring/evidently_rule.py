"""Evidently's default verdict on a batch, as its `DataDriftPreset` comes to it, at a fraction of the time.

Per column: above 1,000 reference rows Wasserstein in deviations ≥ 0.1 (few values: Jensen–Shannon ≥ 0.1), else
Kolmogorov–Smirnov p ≤ 0.05 (few values: χ², two: a z-test, each p < 0.05). Drift of the whole: half of the columns.

Shapes: R reference values, N values of the batch, K distinct values.
"""

from collections.abc import Sequence

import numpy as np
import polars as pl
from scipy.spatial.distance import jensenshannon
from scipy.stats import chisquare, ks_2samp, norm, wasserstein_distance

from monitoring.reference import Floats, values_of

DRIFT_SHARE = 0.5
SMALL_REFERENCE = 1_000
FEW_VALUES = 5
DISTANCE, CHANCE = 0.1, 0.05
LEAST_DEVIATION = 0.001


def drifted_share(reference: pl.DataFrame, current: pl.DataFrame, columns: Sequence[str]) -> float | None:
    """The share of the columns that Evidently calls drifted; columns without readings on one side are left out.

    None where no column is left.
    """
    pairs = [(_known(reference[c]), _known(current[c])) for c in columns]
    drifted = [column_drifted(a, b) for a, b in pairs if len(a) and len(b)]
    return sum(drifted) / len(drifted) if drifted else None


def column_drifted(reference: pl.Series, current: pl.Series) -> bool:
    """Whether Evidently's default test calls one column drifted; readings without nulls, labels as text."""
    values = pl.concat([reference, current]).n_unique()
    numeric, small = reference.dtype.is_numeric(), len(reference) <= SMALL_REFERENCE
    if numeric and values > FEW_VALUES:
        return _numbers_drifted(values_of(reference), values_of(current), small)
    counts_2K = _counts(reference, current)
    if not small:
        return bool(jensenshannon(*(counts_2K / counts_2K.sum(1, keepdims=True))) >= DISTANCE)
    return (_chi_square(counts_2K) if values > 2 else _z_test(counts_2K)) < CHANCE


def _numbers_drifted(reference_R: Floats, current_N: Floats, small: bool) -> bool:
    if small:
        return bool(ks_2samp(reference_R, current_N).pvalue <= CHANCE)  # pyright: ignore[reportAttributeAccessIssue]
    deviation = max(float(reference_R.std()), LEAST_DEVIATION)
    return float(wasserstein_distance(reference_R, current_N)) / deviation >= DISTANCE


def _chi_square(counts_2K: Floats) -> float:
    expected_K, observed_K = counts_2K[0] * counts_2K[1].sum() / counts_2K[0].sum(), counts_2K[1]
    with np.errstate(divide="ignore", invalid="ignore"):  # a value that is new has an infinite statistic
        return float(chisquare(observed_K, expected_K).pvalue)


def _z_test(counts_2K: Floats) -> float:
    rows, other = counts_2K.sum(1), counts_2K[:, 1:].sum(1)
    together = other.sum() / rows.sum()
    if together in (0, 1):
        return 1.0
    z = (other[0] / rows[0] - other[1] / rows[1]) / np.sqrt(together * (1 - together) * (1 / rows).sum())
    return float(2 * norm.sf(abs(z)))


def _counts(reference: pl.Series, current: pl.Series) -> Floats:
    """How often each value occurs in both, (2, K)."""
    names = pl.concat([reference, current]).unique().sort()
    counted = [series.value_counts().sort(series.name) for series in (reference, current)]
    found = [dict(zip(part[part.columns[0]], part["count"], strict=True)) for part in counted]
    return np.array([[part.get(name, 0) for name in names] for part in found], dtype=np.float64)


def _known(column: pl.Series) -> pl.Series:
    known = column.drop_nulls()
    return known.filter(known.is_finite()) if known.dtype.is_float() else known
