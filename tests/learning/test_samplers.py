from itertools import islice
from time import thread_time
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from learning.samplers import HierarchicalSampler

IDS = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 3)), min_size=1, max_size=60)


@settings(deadline=None, max_examples=150)
@given(ids=IDS, p=st.integers(1, 6), k=st.integers(2, 9), seed=st.integers(0, 3))
def test_every_batch_holds_p_elements_and_k_signals_over_two_sessions_where_there_are_such(
    ids: list[tuple[int, int]], p: int, k: int, seed: int
) -> None:
    elements, sessions = np.array(ids).T
    if len(set(elements)) < p:
        with pytest.raises(ValueError, match="elements do not fill a batch"):
            HierarchicalSampler(elements, sessions, p, k, seed=seed)
        return
    for batch in HierarchicalSampler(elements, sessions, p, k, batches=4, seed=seed):
        assert len(batch) == p * k
        drawn, counts = np.unique(elements[batch], return_counts=True)
        assert len(drawn) == p and (counts == k).all()
        for element in drawn:
            mine = [i for i in batch if elements[i] == element]
            there, sizes = np.unique(sessions[elements == element], return_counts=True)
            given, shares = np.unique(sessions[list(set(mine))], return_counts=True)
            assert len(given) >= min(2, len(there))
            assert len(set(mine)) == min(k, sizes.sum())
            assert k < 3 or sizes.max() < 2 or shares.max() >= 2


def lines(count: int, sessions: int = 3, signals: int = 4) -> tuple[np.ndarray, np.ndarray]:
    return np.repeat(np.arange(count), sessions * signals), np.tile(np.repeat(np.arange(sessions), signals), count)


def test_both_kinds_of_triplets_are_in_every_batch() -> None:
    elements, sessions = lines(50)
    for batch in HierarchicalSampler(elements, sessions, 5, 4, batches=30):
        e, s = elements[batch], sessions[batch]
        same_session = (e[:, None] == e) & (s[:, None] == s) & ~np.eye(20, dtype=bool)
        other_session = (e[:, None] == e) & (s[:, None] != s)
        assert (same_session.any(1) & other_session.any(1)).all()
        assert (e[:, None] != e).any(1).all()


def test_a_round_brings_every_element_once_and_the_next_another_order() -> None:
    elements, sessions = lines(12)
    batches = list(HierarchicalSampler(elements, sessions, 3, 4, batches=8, seed=1))
    rounds = [np.concatenate([elements[b][::4] for b in part]) for part in (batches[:4], batches[4:])]
    assert all(sorted(r) == list(range(12)) for r in rounds)
    assert rounds[0].tolist() != rounds[1].tolist()


def test_it_goes_on_where_it_was_and_follows_its_seed_alone() -> None:
    whole, again, other = (HierarchicalSampler(*lines(10), 2, 4, batches=6, seed=s) for s in (7, 7, 8))
    first = [*whole, *whole]
    np.random.seed(0)
    assert list(islice(again, 2)) == first[:2]
    resumed = HierarchicalSampler(*lines(10), 2, 4, batches=6)
    resumed.load_state_dict(again.state_dict())
    assert [*resumed, *resumed] == first[2:]
    assert list(other) != first[:6]


def test_ids_are_text_or_numbers_and_a_session_belongs_to_its_element() -> None:
    elements, sessions = np.array(["b", "b", "a", "a"]), np.array(["x", "y", "x", "x"])
    assert sorted(*HierarchicalSampler(elements, sessions, 2, 2, batches=1)) == [0, 1, 2, 3]
    assert len(HierarchicalSampler(*lines(10), 2, 4)) == 120 // 8


class Counted(np.ndarray):
    """An array that counts the entries that are read of it."""

    read = 0

    def __getitem__(self, key: Any) -> Any:
        found = super().__getitem__(key)
        Counted.read += np.size(found)
        return found

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **options: Any) -> Any:
        plain = [np.asarray(each) for each in inputs]
        options |= {"out": tuple(np.asarray(each) for each in options["out"])} if "out" in options else {}
        Counted.read += sum(array.size for array in plain)
        return getattr(ufunc, method)(*plain, **options)


def test_a_hundred_thousand_elements_start_at_once_and_a_batch_reads_no_more_than_of_ten() -> None:
    def read(elements: int) -> int:
        ids = lines(elements)
        began = thread_time()
        sampler = HierarchicalSampler(*ids, 8, 8, batches=20)
        assert thread_time() - began <= 1.0
        next(iter(sampler))
        for name, value in vars(sampler).items():
            if isinstance(value, np.ndarray) and name != "_order_M":
                setattr(sampler, name, value.view(Counted))
        Counted.read = 0
        list(sampler)
        return Counted.read

    few, many = read(10), read(100_000)
    assert 19 * 8 * 8 <= many <= few


def test_what_makes_no_batch_is_refused() -> None:
    with pytest.raises(ValueError, match="3 element ids stand beside 2 session ids"):
        HierarchicalSampler([0, 0, 1], [0, 1])
    with pytest.raises(ValueError, match="two signals or more of each"):
        HierarchicalSampler(*lines(10), 2, 1)
    with pytest.raises(ValueError, match="0 elements do not fill a batch of 8"):
        HierarchicalSampler([], [])
    for batches in (0, -1):
        with pytest.raises(ValueError, match=f"an epoch has one batch or more, not {batches}"):
            HierarchicalSampler(*lines(10), 2, 2, batches=batches)
    with pytest.raises(ValueError, match="given no batch or more, not -5"):
        HierarchicalSampler(*lines(10), 2, 2).load_state_dict({"seed": 0, "given": -5})


@pytest.mark.parametrize("ids", [["a", None, "b", "b"], [0.0, np.nan, 1.0, 1.0]])
def test_a_signal_without_an_id_is_refused(ids: list[object]) -> None:
    for columns in ((ids, [0, 1, 0, 1]), ([0, 1, 0, 1], ids)):
        with pytest.raises(ValueError, match="signal 1 has no id"):
            HierarchicalSampler(*columns, 2, 2)
