"""The words of triage: causes, readings that are set aside, and the losses that tell of the target's meaning.

Shapes: B labelled samples.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np

from monitoring.sketches import Floats

Cause = Literal["none", "sensor_fault", "covariate", "target", "season", "regime"]
CAUSES: tuple[Cause, ...] = get_args(Cause)
WORDS: Mapping[str, str] = {
    "none": "nothing new",
    "sensor_fault": "faulty sensor",
    "covariate": "the process moved",
    "target": "the target means something else",
    "season": "seen before",
    "regime": "never seen before",
}

LOSS_BLOCKS = 10


@dataclass(frozen=True)
class Readings:
    """A feature's readings from one row to another, both included, that are set aside: nothing learns from them."""

    feature: str
    first: int
    last: int


@dataclass(frozen=True)
class Triage:
    """The cause that decides what to do, the features it shows in, and why.

    sensor_fault: these sensors' readings are wrong. covariate: the process moved. target: the same inputs mean other
    targets. season: a stored regime is back. regime: a load that was never seen. also: what else happened.
    """

    cause: Cause
    features: tuple[str, ...]
    reason: str
    also: tuple[Cause, ...] = ()
    set_aside: tuple[Readings, ...] = ()

    @property
    def faulty(self) -> bool:
        """Whether what the champion met in this batch says more about a sensor than about the process."""
        return self.cause == "sensor_fault"


def cause_in_words(outcome: Mapping[str, Any]) -> str:
    """A journalled triage's causes for people, the one that decides first."""
    return ", ".join(WORDS[cause] for cause in (outcome["cause"], *outcome["also"]))


@dataclass(frozen=True)
class Losses:
    """The champion's losses on the batch, and on rows held out from those it learned from, in order of time."""

    now_B: Floats
    before_B: Floats

    @property
    def gap(self) -> float:
        """How much more each row costs than before, as a share of what it cost then."""
        return float(self.now_B.mean() - self.before_B.mean()) / max(float(self.before_B.mean()), 1e-9)

    @property
    def chance(self) -> float:
        """The deviation of the gap that blocks of neighbouring rows show."""
        parts = [np.array_split(losses_B, LOSS_BLOCKS) for losses_B in (self.now_B, self.before_B)]
        means = [np.array([part.mean() for part in blocks if len(part)]) for blocks in parts]
        variance = sum(float(m.var(ddof=1)) / len(m) for m in means)
        return float(np.sqrt(variance)) / max(float(self.before_B.mean()), 1e-9)
