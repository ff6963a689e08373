import numpy as np
import pytest
import torch

from data.signals import Signals, make_signals
from learning.representation import represent
from learning.teaching import taught
from models.config import HierarchicalConfig
from models.hierarchical import HierarchicalSignalNet

MODEL = HierarchicalConfig(channels=[4], hidden_units=4, embedding_dim=4)


def network(seed: int, keypoints: tuple[str, ...] = ("top", "foot")) -> HierarchicalSignalNet:
    torch.manual_seed(seed)
    return HierarchicalSignalNet(1, keypoints, MODEL).eval()


def signals() -> Signals:
    values = [row[None] for row in np.random.default_rng(0).normal(size=(6, 30))]
    keypoints = {"top": [5.0, 6.0, 7.0, 8.0, np.nan, 9.0], "foot": [1.0, np.nan, 2.0, 3.0, 4.0, 5.0]}
    annotators = ["auto", "auto", "hand", "auto", "auto", "hand"]
    return make_signals(values, ["a"] * 3 + ["b"] * 3, ["s", "t"] * 3, keypoints, annotators)


def test_the_named_annotators_keypoints_lie_where_the_teachers_mean_does() -> None:
    given, teachers = signals(), [network(0), network(1)]
    learned = taught(given, teachers, ["auto"], own=1.0)
    for name, before_N in given.keypoints.items():
        mean_N = np.mean([represent(teacher, given).positions[name] for teacher in teachers], axis=0)
        moved_N = (given.annotators_N == "auto") & ~np.isnan(before_N) & (mean_N >= 0) & (mean_N <= 29)
        assert moved_N.any()
        assert learned.keypoints[name][moved_N] == pytest.approx(mean_N[moved_N], abs=1e-4)


def test_what_others_annotated_stays_and_what_nobody_did_stays_unknown() -> None:
    given = signals()
    learned = taught(given, [network(0)], ["auto"])
    by_hand_N = given.annotators_N == "hand"
    for name, before_N in given.keypoints.items():
        assert np.array_equal(learned.keypoints[name][by_hand_N], before_N[by_hand_N], equal_nan=True)
        assert np.isnan(learned.keypoints[name][np.isnan(before_N)]).all()
    assert np.array_equal(learned.values_NCT, given.values_NCT)


def test_a_keypoint_found_outside_the_signal_is_not_known() -> None:
    outside = network(0)
    with torch.no_grad():
        outside.offset_head.weight.zero_()
        outside.offset_head.bias.fill_(-100.0)
    learned = taught(signals(), [outside], ["auto"])
    assert np.isnan(learned.keypoints["top"][signals().annotators_N == "auto"]).all()


def test_teachers_are_networks_of_these_keypoints() -> None:
    with pytest.raises(ValueError, match="none was given"):
        taught(signals(), [], ["auto"])
    with pytest.raises(ValueError, match=r"a teacher finds \('top',\); the signals have \('top', 'foot'\)"):
        taught(signals(), [network(0, ("top",))], ["auto"])
