"""One batch alone changes no meaning: what a candidate learned of it must not cost the others, or be borne out.

In one batch a change of what things mean looks like wrong labels or a sensor's fault: the champion errs, and a
candidate that learned the batch is better on its held-out part, whatever is true. New are the batches that the champion
has not learned from.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

CORROBORATION = "corroboration"
ALONE_SHARE = 0.5
"""Of what may be forgotten, so much may be lost for the sake of the only new batch."""


class Compared(Protocol):
    """A candidate and the champion by one metric on what was held out of batches.

    batches: those that held anything out, in order.
    """

    @property
    def batches(self) -> Sequence[int]: ...

    def loss_without(self, batch: int) -> float:
        """What the candidate loses on all but one batch, by how much they still count."""
        ...

    def gain_on(self, batch: int) -> float:
        """What it gains on one batch."""
        ...

    def gains_surely_on(self, batches: Sequence[int]) -> bool:
        """Whether it gains on these together with the pipeline's confidence; false where they are too few to tell."""
        ...

    def champion_lead(self, batch: int, other: int) -> float:
        """By how much the champion does better on one batch than on another."""
        ...


@dataclass(frozen=True)
class Corroborated:
    """The loss on everything but one new batch, what may be lost, and whether that or other new batches bear it out."""

    value: float
    limit: float
    passed: bool


def corroborate(compared: Compared, through: int, forgetting: float, regression: float) -> Corroborated:
    """Ask that no new batch alone carries a candidate.

    through: the last batch that the champion learned from. forgetting, regression: what may be lost on earlier batches
    and against the champion. Raises ValueError where nothing was held out but of one batch.
    """
    new = [batch for batch in compared.batches if batch > through]
    value = max(compared.loss_without(one) for one in new or compared.batches[-1:])
    limit = ALONE_SHARE * forgetting if _may_cost(compared, new, regression) else 0.0
    return Corroborated(value, limit, value <= limit or _borne_out(compared, new))


def _may_cost(compared: Compared, new: Sequence[int], regression: float) -> bool:
    """Whether learning the only new batch may cost something elsewhere: where it does not contradict all others."""
    latest = compared.batches[-1]
    others = [batch for batch in compared.batches if batch != latest]
    return len(new) <= 1 and any(compared.champion_lead(latest, other) >= -regression for other in others)


def _borne_out(compared: Compared, new: Sequence[int]) -> bool:
    """Whether the candidate gains on some of the newest batches but its best, together.

    A change that lasts holds in every batch since it began; those new ones that came before it need not gain.
    """
    return any(_gains_without_best(compared, new[first:]) for first in range(len(new) - 1))


def _gains_without_best(compared: Compared, stretch: Sequence[int]) -> bool:
    best = stretch[int(np.argmax([compared.gain_on(batch) for batch in stretch]))]
    return compared.gains_surely_on([batch for batch in stretch if batch != best])
