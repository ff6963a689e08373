"""Successive halving: every point is trained a little, and only the best go on.

Asynchronous, as in Li et al. 2020 (ASHA): a point goes on to the next rung as soon as it is among the best 1/η of those
seen on its own, so no worker waits for another. But no more go on than 1/η (Li et al. 2022, D-ASHA): a sampler that
gets better and better would else have nearly every point trained further. Of several objectives the best are those of
the first fronts.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from learning.search.objectives import Objective, Values, ranked


@dataclass(frozen=True)
class Halving:
    """keep_one_in: η, so many points of a rung make one of the next. rungs: how many there are, the last in full."""

    keep_one_in: int = 3
    rungs: int = 3

    def __post_init__(self) -> None:
        if self.keep_one_in < 2 or self.rungs < 2:
            raise ValueError("halving: keep_one_in and rungs must be 2 or more")

    def epochs(self, most: int) -> list[int]:
        """After how many epochs each rung ends; rungs that fall together are one."""
        return sorted({math.ceil(most / self.keep_one_in**i) for i in range(self.rungs)})


def next_to_promote(
    seen: Mapping[int, Mapping[str, Values]], objectives: Sequence[Objective], keep_one_in: int, last: bool
) -> tuple[str, int] | None:
    """A point and the epochs after which it is to be looked at next; None where none goes on.

    seen: for each rung's epochs its points by key, with what they were measured at; a point that is at work on a rung
    is there without values. last: nothing else will come, so that the best of a rung goes on though it is not η points
    wide, and one is trained in full.
    """
    epochs = sorted(seen)
    for rung, following in reversed(list(pairwise(epochs))):
        measured = {key: values for key, values in seen[rung].items() if values}
        keys = list(measured)
        order = [keys[i] for i in ranked([measured[key] for key in keys], objectives)]
        enough = len(order) // keep_one_in
        best = order[: max(enough, 1) if last and not seen[following] else enough]
        waiting = [key for key in best if key not in seen[following]]
        if waiting and len(seen[following]) < len(best):
            return waiting[0], following
    return None
