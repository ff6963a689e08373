"""The benchmark in small: it tells what it should, on one seed."""

import pytest

from benchmarks.federation import attack, cost, learn, lines


@pytest.mark.torture
def test_what_is_learned_together_is_near_what_is_learned_from_pooled_rows() -> None:
    found = learn(lines(50), 50, 80)
    assert found["fedavg"] > found["pooled"] - 0.03
    assert found["fedavg"] > found["best alone"]


def test_two_of_ten_hostile_lines_are_named_and_change_little() -> None:
    found = attack(lines(50, batches=1, skew=None), 50, 20, kinds=("flipped", "huge"), methods=("trimmed_mean",))
    for run in found["runs"].values():
        assert run["over_clean"] < 1.15
        assert set(run["named"]) >= set(found["hostile"])


def test_messages_cost_little_beside_the_training() -> None:
    assert cost(lines(50, batches=1, skew=None), 50, 2, secure=False) < 1.5
