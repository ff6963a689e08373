import json

import numpy as np
import pytest
from scipy.stats import binom

from monitoring.calibration import calibrate
from monitoring.detector import DetectorState, check
from monitoring.evidence import DriftEvidence
from monitoring.together import TOGETHER, Since, fit_together, observe_together

REFERENCE, ROWS = 1440, 24


def channels(values: np.ndarray) -> dict[str, np.ndarray]:
    return {f"s{i}": values[:, i] for i in range(values.shape[1])}


def correlated(rows: int, correlation: float, seed: int, sensors: int = 6) -> np.ndarray:
    """Normal sensors of variance one, whatever their correlation."""
    rng = np.random.default_rng(seed)
    own, common = rng.standard_normal((rows, sensors)), rng.standard_normal((rows, 1))
    return np.sqrt(1 - correlation) * own + np.sqrt(correlation) * common


def evidence_after(before: np.ndarray, after: np.ndarray) -> DriftEvidence:
    calibration = calibrate(channels(before), ROWS)
    state, evidence = DetectorState.start(calibration), None
    for start in range(0, len(after), ROWS):
        state = DetectorState.from_json(json.loads(json.dumps(state.to_json())))
        state, evidence = check(calibration, state, channels(after[start : start + ROWS]))
        if evidence.drifted:
            break
    assert evidence is not None
    return evidence


@pytest.mark.parametrize(("before", "after"), [(0.0, 0.6), (0.6, 0.0), (0.8, 0.3)])
def test_a_change_of_correlation_that_no_sensor_shows_is_found_and_named(before: float, after: float) -> None:
    evidence = evidence_after(correlated(REFERENCE, before, 1), correlated(20 * ROWS, after, 2))
    assert evidence.drifted
    assert evidence.carriers[0].feature == TOGETHER
    assert evidence.summary.startswith(f"{TOGETHER} drifted, first by its dependence")


@pytest.mark.parametrize("correlation", [0.0, 0.7])
def test_without_a_change_the_distances_are_standard_and_the_budget_holds(correlation: float) -> None:
    streams, checks, alarms, distances = 30, 60, 0, list[float]()
    for seed in range(streams):
        values = correlated(REFERENCE + checks * ROWS, correlation, 100 + seed)
        together = fit_together(values[:REFERENCE], range(6))
        since = Since(np.zeros_like(together.sums_KK), 0, np.zeros(1))
        for start in range(REFERENCE, len(values), ROWS):
            distance, since = observe_together(together, since, values[start : start + ROWS])
            distances += [] if distance is None else [distance]
        alarms += evidence_after(values[:REFERENCE], values[REFERENCE:]).drifted
    assert abs(np.mean(distances)) < 0.1
    assert np.std(distances) == pytest.approx(1, abs=0.1)
    assert alarms <= binom.ppf(0.99, streams, 0.05)


def test_rows_with_a_gap_are_left_out_and_too_few_rows_say_so() -> None:
    values = correlated(REFERENCE, 0.5, 3)
    values[::50, 0] = np.nan
    values[::2, 1] = np.nan
    together = fit_together(values, range(6))
    assert together.sensors.tolist() == [0, 2, 3, 4, 5]
    assert together.count == np.isfinite(values[:, 0]).sum()
    short = calibrate(channels(correlated(90, 0.5, 4)), ROWS)
    assert short.muted()[TOGETHER] == "the reference has 90 rows without a gap, 6 directions need 200"


def test_one_sensor_and_sensors_that_repeat_each_other_break_nothing() -> None:
    one = correlated(REFERENCE + ROWS, 0.0, 5, sensors=1)
    assert TOGETHER not in evidence_after(one[:REFERENCE], one[REFERENCE:]).muted
    twice = correlated(REFERENCE + 10 * ROWS, 0.0, 6)
    twice[:, 3], twice[:, 4] = twice[:, 2], 7.0
    assert not evidence_after(twice[:REFERENCE], twice[REFERENCE:]).drifted


def test_of_many_sensors_the_outer_directions_are_watched() -> None:
    values = correlated(3000, 0.3, 7, sensors=60)
    assert fit_together(values, range(60)).directions_FK.shape == (60, 24)


def test_only_the_sensors_are_watched_together() -> None:
    values = channels(correlated(REFERENCE, 0.0, 8))
    assert calibrate(values, ROWS, sensors=["s1", "s4", "s5"]).together.sensors.tolist() == [1, 4, 5]
