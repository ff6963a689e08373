import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.alignment import align_signals
from data.signals import Signals, make_signals


def ramps(lengths: list[int], positions: list[list[float]]) -> Signals:
    """Signals whose value at each sample is its time, so that an aligned value says where it came from."""
    values = [np.stack([np.arange(length), np.full(length, 7.25)]) for length in lengths]
    keypoints = {name: [p[k] for p in positions] for k, name in enumerate("ab")}
    return make_signals(values, ["e"] * len(lengths), ["s"] * len(lengths), keypoints)


pairs = st.tuples(st.floats(1, 14, width=32), st.floats(1, 14, width=32)).map(lambda p: [p[0], p[0] + p[1]])


@given(st.lists(st.tuples(st.integers(30, 50), pairs), min_size=1, max_size=5), st.integers(2, 10), st.integers(12, 36))
def test_keypoints_land_on_their_targets_and_constants_stay(cycles, first, second) -> None:
    signals = ramps([length for length, _ in cycles], [p for _, p in cycles])
    aligned = align_signals(signals, targets={"b": second, "a": first}, samples=40)
    assert list(aligned.targets) == ["a", "b"]
    found = aligned.values_NCT[:, 0, [first, second]]
    np.testing.assert_allclose(found, [p for _, p in cycles], atol=1e-4)
    np.testing.assert_array_equal(aligned.values_NCT[:, 1], np.float32(7.25))
    np.testing.assert_allclose(aligned.values_NCT[:, 0, -1], [length - 1 for length, _ in cycles], atol=1e-4)
    assert (np.diff(aligned.values_NCT[:, 0], axis=1) >= 0).all()


@given(st.integers(1, 4), pairs, st.integers(31, 60))
def test_what_is_aligned_already_stays_as_it_is(count, positions, length) -> None:
    signals = ramps([length] * count, [positions] * count)
    aligned = align_signals(signals)
    np.testing.assert_allclose(aligned.values_NCT, signals.values_NCT, atol=1e-3)
    np.testing.assert_allclose(aligned.deviation_CT, 0, atol=1e-3)


def test_each_keypoint_falls_on_its_mean_place() -> None:
    signals = ramps([41, 41], [[8, 20], [12, 30]])
    aligned = align_signals(signals)
    assert aligned.targets == pytest.approx({"a": 10, "b": 25})
    np.testing.assert_allclose(aligned.values_NCT[:, 0, [10, 25]], [[8, 20], [12, 30]], atol=1e-4)
    np.testing.assert_allclose(aligned.mean_CT[0, [10, 25]], [10, 25], atol=1e-4)
    np.testing.assert_allclose(aligned.deviation_CT[0, [10, 25]], [2, 5], atol=1e-4)


def test_a_missing_keypoint_is_left_out_of_the_map() -> None:
    signals = ramps([41, 41], [[8, 20], [np.nan, 30]])
    aligned = align_signals(signals, targets={"a": 10, "b": 20})
    np.testing.assert_allclose(aligned.values_NCT[1, 0, [0, 10, 20, 40]], [0, 15, 30, 40], atol=1e-4)


def test_predicted_positions_come_before_annotated_ones() -> None:
    signals = ramps([41], [[8, 20]])
    aligned = align_signals(signals, {"b": np.array([30.0], np.float32)}, {"b": 20})
    np.testing.assert_allclose(aligned.values_NCT[0, 0, 20], 30, atol=1e-4)


def test_a_keypoint_at_an_end_takes_its_place() -> None:
    signals = ramps([41, 41], [[0, 40], [0, 40]])
    np.testing.assert_allclose(align_signals(signals).values_NCT, signals.values_NCT, atol=1e-4)
    moved = align_signals(signals, targets={"a": 5, "b": 35})
    np.testing.assert_allclose(moved.values_NCT[0, 0, [0, 5, 20, 35, 40]], [0, 0, 20, 40, 40], atol=1e-4)


def test_a_signal_whose_keypoints_change_places_is_named_and_left_out() -> None:
    signals = ramps([41, 41, 41], [[8, 20], [25, 11], [12, 30]])
    aligned = align_signals(signals, targets={"a": 10, "b": 20})
    assert aligned.refused == {1: "b at 11 comes before a at 25"}
    assert aligned.places_N.tolist() == [0, 2]
    with pytest.raises(ValueError, match="no signal can be aligned; the first: b at 11 comes before a at 25"):
        align_signals(signals.take(np.array([1])), targets={"a": 10, "b": 20})


def test_what_cannot_be_meant_is_said() -> None:
    signals = ramps([41], [[8, np.nan]])
    with pytest.raises(ValueError, match="no signal has the keypoint 'b'"):
        align_signals(signals)
    with pytest.raises(ValueError, match=r"targets without a keypoint: \['c'\]; the keypoints are \['a', 'b'\]"):
        align_signals(signals, targets={"c": 3})
    with pytest.raises(ValueError, match="the target of 'a' is 41; allowed is 0 to 40"):
        align_signals(signals, targets={"a": 41})
    with pytest.raises(ValueError, match="'a' and 'b' have one target, 4"):
        align_signals(signals, targets={"a": 4, "b": 4})
    outside = {"a": np.array([44.0], np.float32)}
    with pytest.raises(ValueError, match="a at 44 lies outside the signal's 41 samples"):
        align_signals(signals, outside, {"a": 4})
    for samples in (0, -1):
        with pytest.raises(ValueError, match=f"aligned signals have one sample or more, not {samples}"):
            align_signals(signals, targets={"a": 0}, samples=samples)
    with pytest.raises(ValueError, match=r"'a' has the shape \(3,\); 1 signals need as many positions"):
        align_signals(signals, {"a": np.ones(3, np.float32)})
    with pytest.raises(ValueError, match="there are no signals to align"):
        align_signals(signals.take(np.array([], np.int64)))
