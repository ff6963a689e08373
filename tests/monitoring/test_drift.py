import numpy as np
import polars as pl
import pytest
from scipy.signal import lfilter
from scipy.stats import wasserstein_distance

from data.schema import Schema
from monitoring.config import DriftConfig
from monitoring.drift import DriftReport, check_drift
from monitoring.reference import Reference, make_reference

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


def check(reference: Reference, values: np.ndarray) -> DriftReport:
    return check_frame(reference, frame(values), PROBABILITIES)


def check_frame(reference: Reference, rows: pl.DataFrame, probabilities: np.ndarray) -> DriftReport:
    ends_B, config = np.arange(rows.height), DriftConfig()
    return check_drift(reference, None, rows, SCHEMA, probabilities[: rows.height], ends_B, config)[0]


def reference_of(values: np.ndarray) -> Reference:
    return make_reference(
        frame(values), SCHEMA, PROBABILITIES[: len(values)], np.arange(len(values)), None, batch_rows=500
    )


@pytest.mark.parametrize("correlation", [0.0, 0.9, 0.99])
def test_autocorrelation_alone_is_no_drift(correlation: float) -> None:
    values = stream(15_000, correlation, seed=1)
    reference, state = reference_of(values[:3000]), None
    for start in range(3000, 15_000, 500):
        rows, ends_B = frame(values[start : start + 500]), np.arange(500)
        report, state = check_drift(reference, state, rows, SCHEMA, PROBABILITIES[:500], ends_B, DriftConfig())
        assert not report.drifted, report.summary


def test_a_shift_is_found_and_named() -> None:
    values = stream(4000, 0.5, seed=2)
    moved = values[3000:].copy()
    moved[:, 2] += 1.5
    report = check(reference_of(values[:3000]), moved)
    assert report.drifted
    assert [name for name, distance in report.features.items() if distance.drifted] == ["s2"]
    assert report.most_drifted(1) == ["s2"]
    assert report.summary.startswith("s2 drifted, first by its level: evidence e^")


def test_the_distance_is_the_wasserstein_distance_to_the_rows() -> None:
    values = stream(4000, 0.0, seed=3)
    report = check(reference_of(values[:3000]), values[3000:] * 1.5)
    expected = wasserstein_distance(values[:3000, 0], values[3000:, 0] * 1.5) / values[:3000, 0].std()
    assert abs(report.features["s0"].distance - expected) < 0.02 * expected + 0.005


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
