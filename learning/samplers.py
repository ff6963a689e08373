"""Batches of signals for metric learning: P elements × K signals over several sessions.

Shapes: N signals, S sessions, M elements, B = P · K signals of a batch.
"""

from collections.abc import Iterator
from itertools import repeat

import numpy as np
import polars as pl
from numpy.typing import ArrayLike, NDArray

P_ELEMENTS, K_SAMPLES = 8, 8

Numbers = NDArray[np.int64]


class HierarchicalSampler:
    """Places of P different elements' signals, K of each, over at least two sessions where there are such.

    An element with several sessions gives about two signals of each of K / 2 of them, more where some are short; one
    with fewer than K signals gives some again. In a round every element comes once, in another order; what does not
    fill a batch waits for the next round. `state_dict` is all that going on needs. It starts in O(N log N) and gives a
    batch in O(B), however many elements there are, but for the first of a round, which draws the elements' order.
    element_ids_N, session_ids_N: integers or text; a session's id means something within its element. batches: of an
    epoch, one or more; None: as many as it takes to give N signals. Raises ValueError for lists of different lengths,
    for an id that is missing (None, NaN), and where there are not P elements.
    """

    def __init__(
        self,
        element_ids_N: ArrayLike,
        session_ids_N: ArrayLike,
        p_elements: int = P_ELEMENTS,
        k_samples: int = K_SAMPLES,
        batches: int | None = None,
        seed: int = 0,
    ) -> None:
        elements_N, sessions_N = _numbered(element_ids_N), _numbered(session_ids_N)
        if len(elements_N) != len(sessions_N):
            raise ValueError(f"{len(elements_N)} element ids stand beside {len(sessions_N)} session ids")
        if p_elements < 1 or k_samples < 2:
            raise ValueError(
                f"a batch has one element or more and two signals or more of each, not {p_elements} × {k_samples}"
            )
        if batches is not None and batches < 1:
            raise ValueError(f"an epoch has one batch or more, not {batches}")
        self.p_elements, self.k_samples, self._seed, self._given = p_elements, k_samples, seed, 0
        self._signals_N = np.lexsort((sessions_N, elements_N))
        self._index_sessions(elements_N[self._signals_N], sessions_N[self._signals_N])
        if len(self._first_M) < p_elements:
            raise ValueError(f"{len(self._first_M)} elements do not fill a batch of {p_elements}")
        self._batches = batches or max(1, len(elements_N) // (p_elements * k_samples))
        self._order_M, self._round = np.empty(0, np.int64), -1

    def __len__(self) -> int:
        """Batches of an epoch."""
        return self._batches

    def __iter__(self) -> Iterator[list[int]]:
        """The batches that are left of the epoch at work; a finished one is followed by the next."""
        for _ in repeat(None, self._batches - self._given % self._batches):
            self._given += 1
            yield self._batch(self._given - 1)

    def state_dict(self) -> dict[str, int]:
        """Which batch comes next."""
        return {"seed": self._seed, "given": self._given}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Go on from what `state_dict` gave for the same signals; raises ValueError for less than nothing given."""
        if state["given"] < 0:
            raise ValueError(f"a sampler has given no batch or more, not {state['given']}")
        self._seed, self._given, self._round = state["seed"], state["given"], -1

    def _index_sessions(self, elements_N: Numbers, sessions_N: Numbers) -> None:
        """Where each session's signals lie, and each element's sessions: those with a pair of signals first."""
        new_N = np.r_[True, (np.diff(elements_N) != 0) | (np.diff(sessions_N) != 0)][: len(elements_N)]
        start_S = np.flatnonzero(new_N)
        size_S = np.diff(np.r_[start_S, len(elements_N)])
        order_S = np.lexsort((size_S < 2, elements_N[start_S]))
        self._start_S, self._size_S = start_S[order_S], size_S[order_S]
        elements_S = elements_N[start_S][order_S]
        self._first_M = np.flatnonzero(np.diff(elements_S, prepend=-1))
        self._sessions_M = np.diff(np.r_[self._first_M, len(elements_S)])
        self._paired_M = np.add.reduceat(self._size_S > 1, self._first_M) if len(elements_S) else self._first_M

    def _batch(self, number: int) -> list[int]:
        """Batch `number` of all that there ever are; its randomness belongs to the seed and the number."""
        generator = np.random.default_rng([self._seed, 1, number])
        of_a_round = len(self._first_M) // self.p_elements
        round_number, place = divmod(number, of_a_round)
        if round_number != self._round:
            self._order_M = np.random.default_rng([self._seed, 0, round_number]).permutation(len(self._first_M))
            self._round = round_number
        elements_P = self._order_M[place * self.p_elements : (place + 1) * self.p_elements]
        return [signal for element in elements_P for signal in self._signals_of(element, generator)]

    def _signals_of(self, element: int, generator: np.random.Generator) -> list[int]:
        k, sessions = self.k_samples, self._drawn_sessions(element, generator)
        wanted = min(len(sessions), max(2, k // 2))
        while wanted < len(sessions) and self._size_S[sessions[:wanted]].sum() < k:
            wanted += 1
        chosen = sessions[:wanted]
        drawn = [
            self._start_S[session] + _distinct(int(self._size_S[session]), count, generator)
            for session, count in zip(chosen, _shares(self._size_S[chosen], k), strict=True)
        ]
        places = np.concatenate(drawn)
        again = places[generator.integers(len(places), size=k - len(places))]
        return self._signals_N[np.r_[places, again]].tolist()

    def _drawn_sessions(self, element: int, generator: np.random.Generator) -> Numbers:
        """Up to K sessions at random; the first has a pair of signals if any has."""
        sessions, paired = int(self._sessions_M[element]), int(self._paired_M[element])
        first = int(generator.integers(paired or sessions))
        others = _distinct(sessions - 1, self.k_samples - 1, generator)
        return self._first_M[element] + np.r_[first, others + (others >= first)]


def _numbered(ids_N: ArrayLike) -> Numbers:
    """Ids as numbers from 0."""
    ids = pl.Series(np.asarray(ids_N), nan_to_null=True)
    if (missing := ids.is_null()).any():
        raise ValueError(f"signal {missing.arg_max()} has no id")
    return ids.rank("dense").to_numpy().astype(np.int64) - 1


def _distinct(population: int, count: int, generator: np.random.Generator) -> Numbers:
    """`count` different numbers below `population` at random, or all of them (Floyd's algorithm: O(count))."""
    count = min(count, population)
    chosen: dict[int, None] = {}
    for last, drawn in enumerate(generator.integers(np.arange(population - count, population) + 1), population - count):
        chosen[int(drawn) if int(drawn) not in chosen else last] = None
    return generator.permutation(np.fromiter(chosen, np.int64, count))


def _shares(sizes: Numbers, wanted: int) -> list[int]:
    """How many signals each session gives: as evenly as their sizes allow."""
    shares, left = np.zeros_like(sizes), min(wanted, int(sizes.sum()))
    while left:
        open_ = np.flatnonzero(shares < sizes)[:left]
        shares[open_] += 1
        left -= len(open_)
    return shares.tolist()
