import statistics

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitoring.keypoint_errors import keypoint_errors, score_keypoints

POSITIONS = st.floats(0, 300, width=32)


@given(st.lists(st.tuples(POSITIONS, POSITIONS, st.none() | POSITIONS, POSITIONS), min_size=1, max_size=20))
def test_as_by_hand(rows) -> None:
    predicted = np.array([[a, b] for a, b, _, _ in rows], np.float32)
    told = [np.nan if c is None else c for _, _, c, _ in rows], [d for *_, d in rows]
    errors = keypoint_errors(predicted, {"on": np.array(told[0], np.float32), "off": np.array(told[1], np.float32)})
    scores = score_keypoints(errors, ("on", "off"), within=2.5)
    for k, name in enumerate(("on", "off")):
        known = [abs(float(row[k]) - float(row[2 + k])) for row in rows if row[2 + k] is not None]
        assert (name in scores) == bool(known)
        if known:
            found = scores[name]
            assert found.count == len(known)
            assert found.mae == pytest.approx(statistics.fmean(known), abs=1e-9)
            assert found.median == pytest.approx(statistics.median(known), abs=1e-9)
            assert found.within == sum(e <= 2.5 for e in known) / len(known)
            ordered, place = sorted(known), 0.9 * (len(known) - 1)
            below, above = ordered[int(place)], ordered[min(int(place) + 1, len(known) - 1)]
            assert found.p90 == pytest.approx(below + (place - int(place)) * (above - below), abs=1e-6)


def test_without_keypoints_there_are_no_errors() -> None:
    assert keypoint_errors(np.empty((3, 0)), {}).shape == (3, 0)


def test_what_has_no_error_is_refused() -> None:
    told = {"on": np.zeros(2, np.float32)}
    with pytest.raises(ValueError, match="1 predicted keypoints are not finite"):
        keypoint_errors(np.array([[np.nan], [0.0]]), told)
    with pytest.raises(ValueError, match=r"predicted are \(2, 2\) keypoints, annotated \(2, 1\)"):
        keypoint_errors(np.zeros((2, 2)), told)
