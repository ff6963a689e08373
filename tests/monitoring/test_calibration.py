import io

import numpy as np
import pytest
from scipy.signal import lfilter

from monitoring.autoregression import partial_autocorrelations, predictors, variances
from monitoring.calibration import Calibration, calibrate
from monitoring.together import TOGETHER

ROWS = 1440


def series(correlation: float, seed: int, rows: int = ROWS) -> np.ndarray:
    """AR(1) of deviation 1."""
    noise = np.random.default_rng(seed).standard_normal(rows + 1000) * np.sqrt(1 - correlation**2)
    return lfilter([1], [1, -correlation], noise)[1000:]


def innovations(calibration: Calibration, values_NF: np.ndarray) -> np.ndarray:
    whitening = calibration.whitening
    return whitening.innovations(whitening.standardise(values_NF, 0), whitening.no_lags)


def test_levinson_solves_the_yule_walker_equations() -> None:
    values_N = series(0.7, seed=1)
    values_N -= values_N.mean()
    gamma = np.array([values_N[k:] @ values_N[: ROWS - k] / ROWS for k in range(6)])
    toeplitz = gamma[np.abs(np.subtract.outer(np.arange(5), np.arange(5)))]
    partials_P = partial_autocorrelations(values_N, 5)
    np.testing.assert_allclose(predictors(partials_P[None])[0, -1], np.linalg.solve(toeplitz, gamma[1:]), atol=1e-10)
    left = 1 - gamma[1:] @ np.linalg.solve(toeplitz, gamma[1:]) / gamma[0]
    assert variances(partials_P)[-1] == pytest.approx(left)


@pytest.mark.parametrize("correlation", [0.0, 0.5, 0.9])
def test_innovations_are_nearly_white(correlation: float) -> None:
    values_NF = series(correlation, seed=2)[:, None]
    found = innovations(calibrate({"s": values_NF[:, 0]}, 24), values_NF)[:, 0]
    assert abs(np.corrcoef(found[1:], found[:-1])[0, 1]) < 0.1


def test_seasons_are_kept_only_where_they_are() -> None:
    hours = np.arange(ROWS)
    season = 2 * np.sin(2 * np.pi * hours / 24) + np.sin(2 * np.pi * hours / 168)
    calibration = calibrate({"plain": series(0.5, seed=3), "season": series(0.5, seed=4) + season}, 24)
    plain_S, season_S = calibration.whitening.season_FS
    assert np.count_nonzero(plain_S) <= 3
    assert np.hypot(*season_S[1:].reshape(2, -1)).max() == pytest.approx(2, abs=0.2)
    later_NF = np.stack([series(0.5, seed=5), season], 1)
    standard_NF = calibration.whitening.standardise(later_NF, 7 * 24 * 10)
    assert np.abs(standard_NF[:, 1]).max() < 0.4


def test_a_period_needs_to_be_seen_twice() -> None:
    assert not len(calibrate({"s": series(0.0, seed=6, rows=300)}, 24, periods=(168.0,)).whitening.frequencies_H)


def test_detectable_shifts_grow_with_autocorrelation() -> None:
    calibration = calibrate({f"{phi}": series(phi, seed=7) for phi in (0.0, 0.5, 0.9)}, 24)
    shifts = list(calibration.detectable_shifts().values())
    assert shifts == sorted(shifts)
    assert shifts[0] == pytest.approx(0.22, abs=0.02)
    assert 0.7 < shifts[2] < 1.4


def test_a_reference_too_short_for_its_autocorrelation_is_muted_and_said() -> None:
    walk = np.cumsum(np.random.default_rng(8).standard_normal(ROWS))
    values = {"walk": walk, "ok": series(0.0, seed=8), "dead": np.full(ROWS, np.nan)}
    muted = calibrate(values, 24).muted()
    assert set(muted) == {"walk", "dead"}
    assert "independent rows" in muted["walk"]
    assert "fewer than" in muted["dead"]


@pytest.mark.parametrize("rows", [1, 2, 10, 60])
def test_short_references_calibrate(rows: int) -> None:
    calibration = calibrate({"s": series(0.5, seed=9, rows=rows), "constant": np.ones(rows)}, 24)
    assert np.isfinite(calibration.omega_CF).all()
    assert set(calibration.muted()) == {"s", "constant", TOGETHER}


def test_volatile_features_are_known_by_their_size() -> None:
    rng = np.random.default_rng(10)
    size = np.exp(np.sin(np.arange(ROWS) / 50))
    calibration = calibrate({"calm": rng.standard_normal(ROWS), "volatile": size * rng.standard_normal(ROWS)}, 24)
    assert calibration.ranking.volatile_F.tolist() == [False, True]


def test_after_a_gap_the_mean_is_predicted_and_the_size_kept() -> None:
    values_NF = series(0.9, seed=11, rows=20_000)[:, None]
    calibration = calibrate({"s": values_NF[:ROWS, 0]}, 24)
    whole = innovations(calibration, values_NF)
    gaps_NF = values_NF.copy()
    gaps_NF[::4] = np.nan
    found = innovations(calibration, gaps_NF)
    assert np.isnan(found[::4]).all()
    assert np.nanstd(found[1::4]) == pytest.approx(whole.std(), rel=0.1)
    assert np.nanstd(found[2::4]) == pytest.approx(whole.std(), rel=0.1)


def test_rows_without_order_are_not_prewhitened() -> None:
    whitening = calibrate({"s": series(0.9, seed=12)}, 24, ordered=False).whitening
    assert not whitening.partials_FP.any()
    assert not whitening.raised_F.any()


def test_arrays_round_trip_through_npz_exactly() -> None:
    calibration = calibrate({"a": series(0.5, seed=13), "b": series(0.9, seed=14)}, 24)
    buffer = io.BytesIO()
    np.savez(buffer, **calibration.to_arrays())
    buffer.seek(0)
    with np.load(buffer, allow_pickle=False) as arrays:
        loaded = Calibration.from_arrays(arrays)
    assert loaded.names == calibration.names
    for name, array in calibration.to_arrays().items():
        np.testing.assert_array_equal(loaded.to_arrays()[name], array)
