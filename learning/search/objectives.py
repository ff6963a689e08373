"""Several objectives at once: which trials no other beats everywhere, and which of these is taken."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

Values = Mapping[str, float]

GIVEN_UP = 0.01
"""The share of the best score that the pick may give up for being cheaper in the other objectives."""


@dataclass(frozen=True)
class Objective:
    """Something that a trial is measured by."""

    name: str
    lower_is_better: bool

    def loss(self, values: Values) -> float:
        """Its value as something to be made small."""
        return values[self.name] if self.lower_is_better else -values[self.name]


def front_of(values: Sequence[Values], objectives: Sequence[Objective]) -> list[int]:
    """The places of those that no other is as good as everywhere and better than somewhere, in order."""
    losses = [tuple(objective.loss(v) for objective in objectives) for v in values]
    return [i for i, own in enumerate(losses) if not any(_dominates(other, own) for other in losses)]


def ranked(values: Sequence[Values], objectives: Sequence[Objective]) -> list[int]:
    """All places, best first: by front (Srinivas & Deb 1994), within a front by the first objective, then by place."""
    left, order = list(range(len(values))), list[int]()
    while left:
        front = [left[i] for i in front_of([values[place] for place in left], objectives)]
        order += sorted(front, key=lambda place: (objectives[0].loss(values[place]), place))
        left = [place for place in left if place not in front]
    return order


def pick(values: Sequence[Values], objectives: Sequence[Objective], given_up: float = GIVEN_UP) -> int:
    """The place of the one that is taken; there has to be one.

    Of one objective the best. Of several: among those of the front whose first objective is no more than `given_up` of
    its best value from the best, the one that the other objectives together like most (the mean of their logarithms).
    """
    front = front_of(values, objectives)
    first, others = objectives[0], objectives[1:]
    best = min(first.loss(values[place]) for place in front)
    close = [place for place in front if first.loss(values[place]) <= best + given_up * abs(best)]
    return min(close, key=lambda place: (_dearness(values[place], others), first.loss(values[place]), place))


def _dearness(values: Values, objectives: Sequence[Objective]) -> float:
    return sum(math.log(max(values[o.name], 1e-12)) * (1 if o.lower_is_better else -1) for o in objectives)


def _dominates(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
    return one != other and all(a <= b for a, b in zip(one, other, strict=True))
