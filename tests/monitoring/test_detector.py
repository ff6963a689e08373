import json
import time
from functools import cache

import numpy as np
import pytest
from scipy.signal import lfilter
from scipy.stats import binom

from monitoring.calibration import Calibration, calibrate
from monitoring.detector import DetectorState, DriftEvidence, check
from monitoring.together import TOGETHER

REFERENCE, ROWS, FEATURES = 1440, 24, 20


def stream(correlation: float, batches: int, seed: int, features: int = FEATURES) -> np.ndarray:
    """AR(1) channels of deviation 1."""
    rows = REFERENCE + ROWS * batches
    noise = np.random.default_rng(seed).standard_normal((rows + 500, features)) * np.sqrt(1 - correlation**2)
    return lfilter([1], [1, -correlation], noise, axis=0)[500:]


def channels(values: np.ndarray) -> dict[str, np.ndarray]:
    return {f"s{i}": values[:, i] for i in range(values.shape[1])}


def batches_of(values: np.ndarray) -> list[dict[str, np.ndarray]]:
    return [channels(values[start : start + ROWS]) for start in range(REFERENCE, len(values), ROWS)]


def evidence_after_each(values: np.ndarray, contiguous: bool = True) -> list[DriftEvidence]:
    calibration = calibrate(channels(values[:REFERENCE]), ROWS)
    state, found = DetectorState.start(calibration), list[DriftEvidence]()
    for batch in batches_of(values):
        state, evidence = check(calibration, state, batch, contiguous=contiguous)
        found.append(evidence)
    return found


def first_alarm(values: np.ndarray) -> int | None:
    return next((i + 1 for i, evidence in enumerate(evidence_after_each(values)) if evidence.drifted), None)


@cache
def calibrated() -> tuple[Calibration, np.ndarray]:
    values = stream(0.5, 20, seed=1, features=3)
    return calibrate(channels(values[:REFERENCE]), ROWS), values


@pytest.mark.parametrize("correlation", [0.0, 0.9])
def test_stationary_streams_keep_within_the_budget(correlation: float) -> None:
    streams, checks, budget = 40, 40, 0.05
    alarms = 0
    for seed in range(streams):
        values = stream(correlation, checks, seed, features=4)
        calibration = calibrate(channels(values[:REFERENCE]), ROWS)
        state = DetectorState.start(calibration)
        for batch in batches_of(values):
            state, evidence = check(calibration, state, batch, limit=checks / budget)
            if evidence.drifted:
                alarms += 1
                break
    assert alarms <= binom.ppf(0.99, streams, budget)


def test_a_shift_is_found_within_fifteen_batches_and_named() -> None:
    values = stream(0.0, 15, seed=3)
    values[REFERENCE:, :3] += 0.5
    evidence = evidence_after_each(values)[-1]
    assert evidence.drifted
    assert evidence.log_e_value >= evidence.log_limit == pytest.approx(np.log(7300))
    assert {part.feature for part in evidence.carriers} <= {"s0", "s1", "s2"}
    assert {part.channel for part in evidence.carriers} == {"level"}
    assert evidence.summary.startswith(f"{evidence.carriers[0].feature} ")
    assert sum(part.share for part in evidence.carriers) == pytest.approx(1, abs=0.05)


def test_more_variance_is_found_whatever_the_autocorrelation() -> None:
    values = stream(0.97, 40, seed=4)
    values[REFERENCE:, :3] *= np.sqrt(1.5)
    alarm = first_alarm(values)
    assert alarm is not None
    assert evidence_after_each(values)[alarm - 1].carriers[0].channel == "scale"


def test_the_same_batches_give_the_same_verdicts_however_often_the_state_is_stored() -> None:
    calibration, values = calibrated()
    stored = Calibration.from_arrays(calibration.to_arrays())
    state = again = DetectorState.start(calibration)
    for batch in batches_of(values):
        state, evidence = check(calibration, state, batch)
        again, same = check(stored, DetectorState.from_json(json.loads(json.dumps(again.to_json()))), batch)
        assert same == evidence
    assert again.to_json() == state.to_json()
    assert json.loads(json.dumps(evidence.to_json()))["log_e_value"] == evidence.log_e_value


def test_one_batch_or_its_halves_score_the_same_innovations() -> None:
    calibration, values = calibrated()
    whole, _ = check(calibration, DetectorState.start(calibration), channels(values[REFERENCE : REFERENCE + 48]))
    half, _ = check(calibration, DetectorState.start(calibration), channels(values[REFERENCE : REFERENCE + 24]))
    half, _ = check(calibration, half, channels(values[REFERENCE + 24 : REFERENCE + 48]))
    np.testing.assert_allclose(half.sums_CF, whole.sums_CF)
    np.testing.assert_array_equal(half.past.lags_PF, whole.past.lags_PF)


def test_missing_readings_leave_no_trace_in_the_state() -> None:
    calibration, values = calibrated()
    start = DetectorState.start(calibration)
    batch = channels(values[REFERENCE : REFERENCE + ROWS])
    state, evidence = check(calibration, start, {**batch, "s1": np.full(ROWS, np.nan)})
    assert evidence.silent == ("s1",)
    np.testing.assert_array_equal(state.wealth_CFL[:, 1], start.wealth_CFL[:, 1])
    np.testing.assert_array_equal(state.sums_CF[:, 1], start.sums_CF[:, 1])
    gaps = {name: np.where(np.arange(ROWS) % 5 == 2, np.inf, values_N) for name, values_N in batch.items()}
    for _ in range(3):
        state, evidence = check(calibration, state, gaps)
    assert np.isfinite(state.wealth_CFL).all()
    assert np.isfinite(state.sums_CF).all()
    assert np.isfinite(evidence.log_e_value)


def test_streams_with_gaps_raise_no_alarm() -> None:
    values = stream(0.9, 60, seed=5)
    values[np.random.default_rng(5).random(values.shape) < 0.1] = np.nan
    assert first_alarm(values) is None


def test_batches_that_do_not_follow_each_other_raise_no_alarm() -> None:
    values = stream(0.9, 180, seed=6)
    apart = np.concatenate(
        [values[:REFERENCE], values[REFERENCE:].reshape(-1, 3, ROWS, FEATURES)[:, 0].reshape(-1, 20)]
    )
    assert not any(evidence.drifted for evidence in evidence_after_each(apart, contiguous=False))


def test_a_flatline_is_found_across_batches() -> None:
    calibration, values = calibrated()
    flat = values[REFERENCE : REFERENCE + 2 * ROWS].copy()
    flat[ROWS - 3 : ROWS + 4, 2] = 0.123
    state, evidence = check(calibration, DetectorState.start(calibration), channels(flat[:ROWS]))
    assert not evidence.drifted
    state, evidence = check(calibration, state, channels(flat[ROWS:]))
    assert evidence.drifted
    assert (evidence.carriers[0].feature, evidence.carriers[0].channel) == ("s2", "flatline")


def test_a_constant_channel_that_moves_is_found_and_one_that_stays_is_not() -> None:
    values = stream(0.0, 8, seed=7, features=3)
    values[:, 1:] = 5.1
    values[REFERENCE:, 2] = 5.2
    evidence = evidence_after_each(values)[-1]
    assert evidence.drifted
    assert {part.feature for part in evidence.carriers} == {"s2"}


def test_huge_values_overflow_nothing() -> None:
    values = stream(0.0, 400, seed=8, features=2)
    values[REFERENCE:] *= 1e200
    evidence = evidence_after_each(values)[-1]
    assert evidence.drifted
    assert np.isfinite(evidence.log_e_value)


def test_a_reference_too_short_mutes_everything_and_says_so() -> None:
    values = channels(np.random.default_rng(9).standard_normal((34, 2)))
    calibration = calibrate({name: values_N[:10] for name, values_N in values.items()}, ROWS)
    moved = {name: values_N[10:] + 100 for name, values_N in values.items()}
    _, evidence = check(calibration, DetectorState.start(calibration), moved)
    assert not evidence.drifted
    assert set(evidence.muted) == {"s0", "s1", TOGETHER}
    assert not evidence.detectable


def test_a_batch_without_rows_is_refused() -> None:
    calibration, _ = calibrated()
    with pytest.raises(ValueError, match="without rows"):
        check(calibration, DetectorState.start(calibration), channels(np.empty((0, 3))))


def test_one_check_is_cheap() -> None:
    values = stream(0.5, 10, seed=10)
    calibration = calibrate(channels(values[:REFERENCE]), ROWS)
    state = DetectorState.start(calibration)
    seconds = list[float]()
    for batch in batches_of(values):
        started = time.perf_counter()
        state, _ = check(calibration, state, batch)
        seconds.append(time.perf_counter() - started)
    assert min(seconds) < 0.02
