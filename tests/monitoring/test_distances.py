import warnings

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from scipy.stats import ks_2samp, wasserstein_distance

from monitoring.config import STATISTICS, Statistic
from monitoring.distances import Sketch, chance_of, measure, measure_classes, sketch_of

KINDS = ("normal", "skewed", "heavy tails", "discrete", "rounded", "tied", "few values", "far from zero")
CHANGES = ("none", "shifted", "scaled")


def readings(kind: str, rows: int, rng: np.random.Generator) -> np.ndarray:
    normal = rng.standard_normal(rows)
    made = {
        "normal": normal,
        "skewed": np.exp(normal),
        "heavy tails": rng.standard_cauchy(rows),
        "discrete": np.round(2 * normal),
        "rounded": np.round(normal, 2),
        "tied": np.maximum(normal, 0),
        "few values": rng.integers(0, 5, rows).astype(np.float64),
        "far from zero": 1e6 + 0.01 * normal,
    }
    return made[kind]


def changed(values: np.ndarray, change: str, unit: float) -> np.ndarray:
    if change == "shifted":
        return values + 0.3 * unit
    middle = np.median(values)
    return (values - middle) * 1.3 + middle if change == "scaled" else values


def pair(kind: str, change: str, rows: int, batch: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng([seed, KINDS.index(kind), CHANGES.index(change)])
    reference = readings(kind, rows, rng)
    unit = float(np.subtract(*np.percentile(reference, [75, 25])))
    return reference, changed(readings(kind, batch, rng), change, unit)


def by_evidently(statistic: Statistic, reference: np.ndarray, batch: np.ndarray, kind: str = "num") -> float:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Evidently's own dependencies deprecate one another
        from evidently.legacy.calculations import stattests  # here, as it takes seconds
        from evidently.legacy.core import ColumnType
    tests = {
        "wasserstein": stattests.wasserstein_stat_test,
        "kolmogorov_smirnov": stattests.ks_stat_test,
        "jensen_shannon": stattests.jensenshannon_stat_test,
        "psi": stattests.psi_stat_test,
    }
    return tests[statistic](pd.Series(reference), pd.Series(batch), ColumnType(kind), None).drift_score


def ours(statistic: Statistic, sketch: Sketch, batch: np.ndarray) -> float:
    """As Evidently reports it: a p-value for Kolmogorov–Smirnov."""
    if statistic == "kolmogorov_smirnov":
        return chance_of(sketch, np.sort(batch))
    return measure(statistic, sketch, np.sort(batch))


@pytest.mark.parametrize("statistic", STATISTICS)
@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("kind", KINDS)
def test_a_distance_is_evidentlys_on_the_full_data(kind: str, change: str, statistic: Statistic) -> None:
    for rows, batch in ((5000, 40), (5000, 7000), (700, 700), (3000, 20_000)):
        reference, now = pair(kind, change, rows, batch, seed=1)
        expected = by_evidently(statistic, reference, now)
        assert ours(statistic, sketch_of(reference), now) == pytest.approx(expected, rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("statistic", STATISTICS)
@pytest.mark.parametrize("kind", KINDS)
def test_of_a_longer_reference_too_whatever_is_more_than_chance(kind: str, statistic: Statistic) -> None:
    reference, now = pair(kind, "shifted", 60_000, 5000, seed=2)
    sketch = sketch_of(reference)
    assert len(sketch.values_K) <= 5000
    if statistic == "kolmogorov_smirnov":
        expected = float(ks_2samp(reference, now).statistic)
        assert measure(statistic, sketch, np.sort(now)) == pytest.approx(expected, rel=0.01)
    else:
        expected = by_evidently(statistic, reference, now)
        assert measure(statistic, sketch, np.sort(now)) == pytest.approx(expected, rel=0.01)


@pytest.mark.parametrize("statistic", ["jensen_shannon", "psi"])
def test_counts_of_classes_give_evidentlys_distance(statistic: Statistic) -> None:
    rng = np.random.default_rng(3)
    reference, now = rng.choice(3, 5000, p=[0.6, 0.3, 0.1]), rng.choice(4, 800, p=[0.5, 0.0, 0.3, 0.2])
    expected = by_evidently(statistic, reference.astype(str), now.astype(str), "cat")
    counts = [np.bincount(numbers, minlength=5) for numbers in (reference, now)]
    assert measure_classes(statistic, counts[0], counts[1]) == pytest.approx(expected, rel=1e-9)


def test_counts_of_classes_are_measured_by_total_variation_otherwise() -> None:
    assert measure_classes("wasserstein", np.array([60, 40, 0]), np.array([5, 3, 2])) == pytest.approx(0.2)


@example([0.0] * 5, [0.0, 0.0, 0.0, 0.0, 0.5])
@given(
    st.lists(st.integers(-6, 6).map(float), min_size=1, max_size=40),
    st.lists(st.integers(-8, 8).map(lambda n: n / 2), min_size=1, max_size=40),
)
@pytest.mark.filterwarnings("ignore:ks_2samp. Exact calculation unsuccessful:RuntimeWarning")  # scipy's own, below
def test_exact_whatever_ties_there_are(reference: list[float], batch: list[float]) -> None:
    sketch, now = sketch_of(np.array(reference)), np.sort(np.array(batch))
    area = wasserstein_distance(reference, batch) / max(np.std(reference), 0.001)
    assert measure("wasserstein", sketch, now) == pytest.approx(area, rel=1e-9, abs=1e-12)
    apart = ks_2samp(reference, batch)
    assert measure("kolmogorov_smirnov", sketch, now) == pytest.approx(float(apart.statistic), abs=1e-12)
    assert chance_of(sketch, now) == pytest.approx(float(apart.pvalue), rel=1e-6)


def test_a_sketch_keeps_the_tails_and_what_stands_often() -> None:
    values = np.maximum(np.random.default_rng(4).standard_cauchy(100_000), 0)
    sketch = sketch_of(values, points=257)
    assert len(sketch.values_K) <= 257
    assert (sketch.values_K[0], sketch.values_K[-1]) == (0, values.max())
    assert sketch.upto_K[0] == (values == 0).sum()
    assert sketch.rows == 100_000
    places = np.array([-1.0, 0.0, 0.5, 10.0, 1e9])
    np.testing.assert_allclose(sketch.below(places), [(values < place).sum() for place in places], atol=100)
