import numpy as np
import polars as pl
import pytest
from scipy.signal import lfilter
from scipy.stats import wasserstein_distance

from data.schema import Schema
from monitoring.config import STATISTICS, DriftConfig, Statistic
from monitoring.drift import DriftReport, check_drift
from monitoring.reference import Reference, make_reference, numeric_channel

FEATURES = 5
SCHEMA = Schema(tuple(f"s{i}" for i in range(FEATURES)), "y", None, None, "classification", ())
PROBABILITIES = np.tile(np.array([0.7, 0.3], np.float32), (20_000, 1))


def stream(rows: int, correlation: float, seed: int) -> np.ndarray:
    """AR(1) channels of deviation 1."""
    noise = np.random.default_rng(seed).standard_normal((rows + 300, FEATURES)) * np.sqrt(1 - correlation**2)
    return lfilter([1], [1, -correlation], noise, axis=0)[300:]


def frame(values: np.ndarray) -> pl.DataFrame:
    channels = {f"s{i}": values[:, i].astype(np.float32) for i in range(FEATURES)}
    labels = np.where(np.arange(len(values)) % 3 == 0, "bad", "ok")
    return pl.DataFrame({**channels, "y": labels})


def check(reference: Reference, values: np.ndarray, statistic: Statistic = "wasserstein") -> DriftReport:
    return check_frame(reference, frame(values), PROBABILITIES, statistic)


def check_frame(
    reference: Reference, rows: pl.DataFrame, probabilities: np.ndarray, statistic: Statistic = "wasserstein"
) -> DriftReport:
    ends_B, config = np.arange(rows.height), DriftConfig(statistic=statistic)
    return check_drift(reference, None, rows, SCHEMA, probabilities[: rows.height], ends_B, config)[0]


def reference_of(values: np.ndarray, batch_rows: int = 500) -> Reference:
    ends_B = np.arange(len(values))
    return make_reference(frame(values), SCHEMA, PROBABILITIES[: len(values)], ends_B, None, batch_rows)


@pytest.mark.parametrize("correlation", [0.0, 0.9, 0.99])
def test_autocorrelation_alone_is_no_drift(correlation: float) -> None:
    values = stream(15_000, correlation, seed=1)
    reference, state = reference_of(values[:3000]), None
    for start in range(3000, 15_000, 500):
        rows, ends_B = frame(values[start : start + 500]), np.arange(500)
        report, state = check_drift(reference, state, rows, SCHEMA, PROBABILITIES[:500], ends_B, DriftConfig())
        assert not report.drifted, report.summary


@pytest.mark.parametrize("statistic", STATISTICS)
def test_a_shift_is_found_and_named(statistic: Statistic) -> None:
    values = stream(4000, 0.5, seed=2)
    moved = values[3000:].copy()
    moved[:, 2] += 1.5
    report = check(reference_of(values[:3000]), moved, statistic)
    assert report.drifted
    assert report.statistic == statistic
    assert (report.features["s2"].p_value is not None) == (statistic == "kolmogorov_smirnov")
    assert [name for name, distance in report.features.items() if distance.drifted] == ["s2"]
    assert report.most_drifted(1) == ["s2"]
    assert report.summary.startswith("s2 drifted, first by its level: evidence e^")


def test_the_distance_is_the_wasserstein_distance_to_the_rows() -> None:
    values = stream(4000, 0.0, seed=3)
    report = check(reference_of(values[:3000]), values[3000:] * 1.5)
    expected = wasserstein_distance(values[:3000, 0], values[3000:, 0] * 1.5) / values[:3000, 0].std()
    assert report.features["s0"].distance == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("statistic", STATISTICS)
@pytest.mark.parametrize(("correlation", "rows"), [(0.0, 500), (0.9, 500), (0.9, 100)])
def test_without_a_change_no_distance_reaches_its_threshold(
    statistic: Statistic, correlation: float, rows: int
) -> None:
    values = stream(9000, correlation, seed=11)
    reference = reference_of(values[:5000], rows)
    for start in range(5000, 9000, 4 * rows):
        report = check(reference, values[start : start + rows], statistic)
        assert not any(distance.drifted for distance in report.features.values())


def test_shares_of_classes_drift_too() -> None:
    values = stream(4000, 0.0, seed=4)
    labels = frame(values[3000:]).with_columns(pl.lit("bad").alias("y"))
    report = check_frame(reference_of(values[:3000]), labels, PROBABILITIES[:, ::-1])
    assert report.target is not None
    assert report.target.drifted
    assert report.predictions is not None
    assert report.predictions.drifted
    assert report.drifted
    assert report.summary.startswith("the target ok")


def test_a_short_reference_says_so_and_a_silent_channel_too() -> None:
    short = check(reference_of(stream(50, 0.0, seed=5)), stream(500, 0.0, seed=6) + 9)
    assert not short.drifted
    assert "the reference has fewer than 200 readings" in short.note
    assert "s0" in short.note
    values = frame(stream(500, 0.0, seed=7)).with_columns(pl.lit(None, pl.Float32).alias("s1"))
    silent = check_frame(reference_of(stream(3000, 0.0, seed=8)), values, PROBABILITIES)
    assert silent.note.endswith("no readings of s1")
    assert "s1" not in silent.features


def test_a_reference_comes_back_as_it_was_saved() -> None:
    reference = reference_of(stream(3000, 0.5, seed=9))
    values = stream(500, 0.5, seed=10)
    assert check(Reference.load(reference.save()), values) == check(reference, values)
    whole = values.astype(np.float64) * np.pi
    channel = numeric_channel(whole[:, 0], 100)
    again = Reference.load(Reference({"s0": channel}, reference.calibration).save()).channels["s0"]
    assert again.distance("wasserstein", np.sort(whole[:, 1])) == channel.distance("wasserstein", np.sort(whole[:, 1]))
