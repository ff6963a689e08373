"""The benchmark in small: it tells what it should, on one seed."""

import pytest

from benchmarks.federation import SGD, attack, learn, lines
from benchmarks.round_cost import cost


@pytest.mark.torture
def test_what_is_learned_together_is_near_what_is_learned_from_pooled_rows() -> None:
    found = learn(lines(50, adjusted=True), 50, 80, SGD)
    assert found["fedavg"] > found["pooled"] - 0.03
    assert found["fedavg"] > found["best alone"]


@pytest.mark.parametrize("skew", [None, 0.3])
def test_two_of_ten_hostile_lines_are_named_and_change_little(skew: float | None) -> None:
    found = attack(lines(50, batches=1, skew=skew), 50, 20, kinds=("flipped",), methods=("trimmed_mean",))
    assert found["runs"]["trimmed_mean clean"]["named"] == []
    attacked = found["runs"]["trimmed_mean flipped"]
    assert attacked["over_honest"] < 1.15
    assert attacked["named"] == found["hostile"]


def test_a_round_costs_its_training_and_more() -> None:
    over, node_ms = cost(lines(50, batches=1, skew=None), 50, 2, secure=False)
    assert over > 1
    assert node_ms > 0
