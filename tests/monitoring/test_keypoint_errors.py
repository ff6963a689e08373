import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitoring.keypoint_errors import drawn_quantiles, keypoint_errors

ERRORS = st.lists(st.none() | st.floats(0, 300, width=32), min_size=1, max_size=20)


@given(ERRORS, st.sampled_from([0.5, 0.9]), st.integers(0, 99))
def test_quantiles_are_those_of_all_that_was_drawn(errors: list[float | None], share: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    errors_N = np.array([np.nan if error is None else error for error in errors], np.float64)
    draws_RU, units_N = rng.integers(0, 4, (5, 6)), rng.integers(0, 6, len(errors))
    found_R = drawn_quantiles(errors_N, draws_RU, units_N, share)
    for draws_U, found in zip(draws_RU, found_R, strict=True):
        drawn = np.repeat(errors_N, draws_U[units_N])
        known = drawn[~np.isnan(drawn)]
        expected = float(np.quantile(known, share)) if len(known) else float("nan")
        assert found == pytest.approx(expected, abs=1e-9, nan_ok=True)


def test_errors_are_absolute_and_nothing_where_nothing_was_annotated() -> None:
    told = {"on": np.array([1.0, np.nan], np.float32), "off": np.array([8.0, 9.0], np.float32)}
    errors_NK = keypoint_errors(np.array([[3.0, 8.5], [2.0, 5.0]], np.float32), told)
    np.testing.assert_array_equal(errors_NK, [[2.0, 0.5], [np.nan, 4.0]])


def test_without_keypoints_there_are_no_errors() -> None:
    assert keypoint_errors(np.empty((3, 0)), {}).shape == (3, 0)


def test_what_has_no_error_is_refused() -> None:
    told = {"on": np.zeros(2, np.float32)}
    with pytest.raises(ValueError, match="1 predicted keypoints are not finite"):
        keypoint_errors(np.array([[np.nan], [0.0]]), told)
    with pytest.raises(ValueError, match=r"predicted are \(2, 2\) keypoints, annotated \(2, 1\)"):
        keypoint_errors(np.zeros((2, 2)), told)
