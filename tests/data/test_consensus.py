import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.consensus import agreed_positions

NAMES = ("rise", "peak", "fall")


def named(positions_NK: np.ndarray) -> dict[str, np.ndarray]:
    return dict(zip(NAMES, positions_NK.astype(np.float32).T, strict=True))


def stacked(positions: dict[str, np.ndarray]) -> np.ndarray:
    return np.stack(list(positions.values()), axis=1)


def sessions(seed: int, spread: float) -> tuple[np.ndarray, np.ndarray]:
    """True positions of 20 signals of each of 4 sessions, and the sessions' numbers."""
    rng = np.random.default_rng(seed)
    groups_N = np.repeat(np.arange(4), 20)
    distances_SK = np.cumsum(rng.uniform(10, 40, (4, 3)), axis=1)
    shifts_N1 = rng.uniform(0, 50, (80, 1))
    return distances_SK[groups_N] + shifts_N1 + spread * rng.standard_normal((80, 3)), groups_N


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_what_a_session_agrees_on_is_nearer_to_the_truth_than_each_signal_alone(seed: int) -> None:
    truth_NK, groups_N = sessions(seed, spread=0.5)
    rng = np.random.default_rng([seed, 1])
    found_NK = truth_NK + rng.standard_normal(truth_NK.shape) * [0.3, 1.0, 4.0]
    found_NK[rng.random(80) < 0.15, 2] += 30  # another wave was taken for it
    alone_K = np.abs(found_NK - truth_NK).mean(0)
    agreed_K = np.abs(stacked(agreed_positions(named(found_NK), groups_N)) - truth_NK).mean(0)
    assert agreed_K[2] < 0.6 * alone_K[2] and agreed_K.mean() < 0.7 * alone_K.mean()


@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 1000), own=st.floats(0, 1), moved=st.floats(-100, 100))
def test_signals_that_differ_by_a_shift_stay_and_shifts_go_through(seed: int, own: float, moved: float) -> None:
    exact_NK, groups_N = sessions(seed, spread=0.0)
    assert stacked(agreed_positions(named(exact_NK), groups_N, own)) == pytest.approx(exact_NK, abs=1e-3)
    found_NK, _ = sessions(seed, spread=3.0)
    alone, shifted = (stacked(agreed_positions(named(p), groups_N, own)) for p in (found_NK, found_NK + moved))
    assert shifted == pytest.approx(alone + moved, abs=1e-3)
    assert stacked(agreed_positions(named(found_NK), groups_N, own=1.0)) == pytest.approx(found_NK, abs=1e-3)


def test_a_signal_of_its_own_group_stays_and_no_share_is_refused() -> None:
    found_NK, _ = sessions(0, spread=3.0)
    assert stacked(agreed_positions(named(found_NK), np.arange(80))) == pytest.approx(found_NK, abs=1e-3)
    with pytest.raises(ValueError, match=r"own is a share from 0 to 1, not 1\.5"):
        agreed_positions(named(found_NK), np.arange(80), own=1.5)


@pytest.mark.filterwarnings("error")
def test_what_is_not_there_stays_so_and_the_others_agree_without_it() -> None:
    found_NK, groups_N = sessions(0, spread=3.0)
    found_NK[::7, 1], found_NK[3] = np.nan, np.nan
    found_NK[groups_N == groups_N[-1], 2] = np.nan
    agreed_NK = stacked(agreed_positions(named(found_NK), groups_N))
    np.testing.assert_array_equal(np.isnan(agreed_NK), np.isnan(found_NK))
    of_last_N = groups_N == groups_N[-1]
    two = {name: p_N[of_last_N] for name, p_N in named(found_NK).items() if name != "fall"}
    without_NK = stacked(agreed_positions(two, groups_N[of_last_N]))
    assert agreed_NK[of_last_N][:, :2] == pytest.approx(without_NK, abs=1e-3, nan_ok=True)


@pytest.mark.parametrize(
    ("keypoints", "groups", "said"),
    [(0, 80, "no keypoints"), (3, 5, r"shape \(80,\); the groups of the signals \(5,\)")],
)
def test_no_keypoints_and_other_groups_are_refused(keypoints: int, groups: int, said: str) -> None:
    found_NK, groups_N = sessions(0, spread=3.0)
    with pytest.raises(ValueError, match=said):
        agreed_positions(dict(list(named(found_NK).items())[:keypoints]), groups_N[:groups])
