"""Nodes with losses of their own, some of which send updates of the opposite sign."""

import json

import numpy as np
import pytest

from learning.federation.aggregation import Update, combine, mixed
from learning.federation.config import Krum, Median, TrimmedMean
from learning.federation.state import State
from learning.federation.watching import Watch

P, NODES = 40, 10


def federate(flipped: set[int], rounds: int, seed: int = 0, watch: Watch | None = None) -> Watch:
    """Noisy steps down quadratic losses whose minima lie far apart; all count, so that the weights reach the mean."""
    rng = np.random.default_rng(seed)
    minima_nP, curves_nP = 3 * rng.normal(size=(NODES, P)), rng.uniform(0.2, 2.0, (NODES, P))
    watch, start_P = watch or Watch(), np.zeros(P, np.float32)
    for number in range(1, rounds + 1):
        downhill_nP = 0.3 * curves_nP * (minima_nP - start_P) + 0.05 * rng.normal(size=(NODES, P))
        signs_n1 = np.array([[-1.0 if node in flipped else 1.0] for node in range(NODES)])
        changes_nP = (signs_n1 * downhill_nP).astype(np.float32)
        updates = [Update(f"n{node}", changes_nP[node], 1.0, np.ones(P, bool)) for node in range(NODES)]
        watch.look(number, start_P, updates)
        start_P = (start_P + changes_nP.mean(0)).astype(np.float32)
    return watch


@pytest.mark.parametrize("seed", range(5))
def test_who_sends_the_opposite_is_named_and_nobody_else(seed: int) -> None:
    watch = federate({2, 7}, 12, seed)
    assert set(watch.named) == {"n2", "n7"}
    assert "turn with the weights' moves" in watch.named["n2"]
    assert federate(set(), 40, seed).named == {}


def test_nobody_is_named_before_the_third_move() -> None:
    assert federate({2}, 3).named == {}
    assert set(federate({2}, 4).named) == {"n2"}


def test_what_is_watched_outlives_a_restart() -> None:
    whole, state = federate({2}, 4), State(watch=federate({2}, 4))
    again = State.from_bytes(state.to_bytes()).watch
    assert again.named == whole.named and again.cosines == whole.cosines and again.rounds == whole.rounds
    assert {4} == {*again.starts} and np.array_equal(again.starts[4], whole.starts[4])
    assert all(np.array_equal(again.changes[node], change) for node, change in whole.changes.items())
    json.dumps(again.cosines, allow_nan=False)


def test_named_nodes_are_left_out_as_long_as_they_are_a_minority() -> None:
    updates = [Update(f"n{i}", np.ones(1, np.float32), 1.0, np.ones(1, bool)) for i in range(4)]
    assert [u.node for u in Watch(named={"n1": "why"}).without_named(updates)] == ["n0", "n2", "n3"]
    assert len(Watch(named={"n1": "why", "n2": "why"}).without_named(updates)) == 4


def test_mixed_with_its_nearest_ones_no_node_is_dropped_for_being_unlike_the_rest() -> None:
    """Each node alone moves a number of its own: krum alone forgets what two of them know."""
    changes_nP = np.eye(8) + 0.01 * np.random.default_rng(0).normal(size=(8, 8))
    updates = [Update(str(i), c.astype(np.float32), 1.0, np.ones(8, bool)) for i, c in enumerate(changes_nP)]
    alone, among = (combine(Krum(mixing=mixing), updates) for mixing in (False, True))
    assert sorted(alone > 0.05) == [False] * 2 + [True] * 6
    assert all(among > 0.05)


def test_of_what_is_not_known_nothing_is_mixed_in() -> None:
    changes_nP = np.array([[1.0, 5.0], [1.0, 7.0], [1.0, 1e6]])
    known_nP = np.array([[True, True], [True, True], [True, False]])
    means_nP, votes_nP = mixed(changes_nP, known_nP, 0)
    assert means_nP.tolist() == [[1.0, 6.0]] * 3 and votes_nP.all()


@pytest.mark.parametrize("config", [Median(), TrimmedMean(), Krum(), Median(mixing=True), TrimmedMean(mixing=True)])
def test_a_fifth_of_any_values_moves_the_rest_little(config: Median | TrimmedMean | Krum) -> None:
    changes_nP = 1 + 0.1 * np.random.default_rng(0).normal(size=(10, 5))
    changes_nP[3], changes_nP[8] = -9.0, 9e3
    updates = [Update(str(i), c.astype(np.float32), 1.0, np.ones(5, bool)) for i, c in enumerate(changes_nP)]
    assert np.abs(combine(config, updates) - 1).max() < 0.2
