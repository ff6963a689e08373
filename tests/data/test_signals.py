import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from data.signals import SignalDataset, join_signals, make_signals
from data.synthetic_signals import KEYPOINTS, SignalPlan, synthetic_signals


def three():
    values = [np.arange(6.0).reshape(2, 3), np.ones((2, 5)), np.zeros((2, 1))]
    return make_signals(values, ["b", "a", "b"], ["1", "1", "2"], {"top": [2.0, np.nan, 0.0]}, ["x", "", "y"])


def test_signals_are_padded_and_know_their_length() -> None:
    signals = three()
    assert signals.values_NCT.shape == (3, 2, 5)
    assert signals.lengths_N.tolist() == [3, 5, 1]
    np.testing.assert_array_equal(signals.signal(0), [[0, 1, 2], [3, 4, 5]])
    assert signals.values_NCT[0, :, 3:].tolist() == [[0, 0], [0, 0]]


def test_a_session_belongs_to_one_element() -> None:
    signals = three()
    assert signals.elements_N.tolist() == [1, 0, 1]
    assert len(set(signals.sessions_N.tolist())) == 3


@pytest.mark.parametrize(
    ("values", "elements", "keypoints", "said"),
    [
        ([], [], {}, "there are no signals"),
        ([np.ones((1, 3)), np.ones((2, 3))], ["a", "a"], {}, r"signal 1 has the shape \(2, 3\)"),
        ([np.ones((1, 0))], ["a"], {}, "at least one sample"),
        ([np.ones(50)], ["a"], {}, r"has the shape \(50,\); allowed is \(channels, samples\)"),
        ([np.ones((1, 3)), np.full((1, 3), np.inf)], ["a", "a"], {}, "signal 1 holds a value that is not a finite"),
        ([np.ones((1, 3))], [""], {}, "signal 0 has no element id"),
        ([np.ones((1, 3))] * 2, ["a", None], {}, "signal 1 has no element id"),
        ([np.ones((1, 3))] * 2, [0.5, np.nan], {}, "signal 1 has no element id"),
        (
            [np.ones((1, 3)), np.ones((1, 3)) * 1j],
            ["a", "b"],
            {},
            "signal 1 holds complex128; allowed are real numbers",
        ),
        ([np.full((1, 3), "x")], ["a"], {}, "signal 0 holds <U1"),
        ([np.ones((1, 3))], ["a", "b"], {}, "element_ids_N has the shape"),
        ([np.ones((1, 3))], ["a"], {"k": [3.0]}, "the keypoint 'k' lies at 3; allowed is 0 to 2"),
        ([np.ones((1, 3))], ["a"], {"k": [1.0, 2.0]}, "keypoints.k has the shape"),
    ],
)
def test_what_cannot_be_meant_is_refused(values, elements, keypoints, said) -> None:
    with pytest.raises(ValueError, match=said):
        make_signals(values, elements, ["s"] * len(values), keypoints)


def test_joined_and_taken_signals_are_those_that_went_in() -> None:
    signals, longer = three(), make_signals([np.ones((2, 9))], ["c"], ["1"], {"top": [8.0]})
    joined = join_signals([signals, longer.of_batch(4)])
    assert joined.batches_N.tolist() == [0, 0, 0, 4]
    np.testing.assert_array_equal(joined.take(np.array([3])).signal(0), longer.signal(0))
    np.testing.assert_array_equal(joined.take(joined.lengths_N == 1).signal(0), signals.signal(2))
    with pytest.raises(ValueError, match="different channels or keypoints"):
        join_signals([signals, make_signals([np.ones((1, 9))], ["c"], ["1"], {"top": [8.0]})])


def test_keypoints_count_as_their_annotator_does() -> None:
    assert three().weighed({"x": 0.5, "": 0.25}).weights_N.tolist() == [0.5, 0.25, 1.0]


def test_a_dataset_returns_what_the_earlier_one_did() -> None:
    signals = synthetic_signals(SignalPlan(), seed=0)
    loader = DataLoader(SignalDataset(signals), sampler=[[0, 1, 70], [3]], batch_size=None)
    batch, single = list(loader)
    assert {"signals", "element_ids", "session_ids", "keypoints"} <= set(batch)
    assert batch["signals"].dtype == torch.float32
    assert batch["signals"].shape == (3, 2, int(signals.lengths_N[[0, 1, 70]].max()))
    assert batch["element_ids"].tolist() == [0, 0, 3]
    assert batch["session_ids"].tolist() == [0, 0, 11]
    assert set(batch["keypoints"]) == set(KEYPOINTS)
    assert single["signals"].shape[2] == signals.lengths_N[3] == single["lengths"][0]


def test_synthetic_signals_follow_from_the_seed_and_their_element() -> None:
    plan = SignalPlan(elements=(1, 2), sessions=(0, 3))
    signals, again = synthetic_signals(plan, seed=1), synthetic_signals(plan, seed=1)
    np.testing.assert_array_equal(signals.values_NCT, again.values_NCT)
    alone = synthetic_signals(SignalPlan(elements=(2,), sessions=(3,)), seed=1)
    np.testing.assert_array_equal(alone.signal(0), signals.signal(18))
    assert signals.session_ids_N[18] == "m02/s3"
    assert not np.array_equal(synthetic_signals(plan, seed=2).signal(0), signals.signal(0))


def test_keypoints_lie_on_the_tops_of_the_bumps() -> None:
    signals = synthetic_signals(SignalPlan(noise=0.0, annotated=1.0), seed=1)
    for n in range(len(signals)):
        rises_T, middle = signals.signal(n)[0], round(float(signals.keypoints["rise"][n]))
        assert abs(int(rises_T[middle - 3 : middle + 4].argmax()) - 3) <= 1
