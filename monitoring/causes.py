"""The words of triage: causes, readings that are set aside, and the losses that tell of the target's meaning.

Shapes: B labelled samples.
"""

from collections.abc import Callable, Mapping
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
SAVED_LIMIT, SAVED_SHARE = 4.0, 0.5


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
    """The champion's losses on the batch, and on rows held out from those it learned from, in order of time.

    moved_back: its losses on the batch if a feature, by number, had read so much less.
    """

    now_B: Floats
    before_B: Floats
    moved_back: Callable[[int, float], Floats] | None = None

    @property
    def gap(self) -> float:
        """How much more each row costs than before, as a share of what it cost then."""
        return float(self.now_B.mean() - self.before_B.mean()) / max(float(self.before_B.mean()), 1e-9)

    @property
    def chance(self) -> float:
        """The deviation of the gap that blocks of neighbouring rows show."""
        variance = block_chance(self.now_B) ** 2 + block_chance(self.before_B) ** 2
        return float(np.sqrt(variance)) / max(float(self.before_B.mean()), 1e-9)

    def told_by(self, feature: int, move: float) -> float | None:
        """The share of the gap that goes when a feature is moved back; None where it is not half, or may be chance."""
        if self.moved_back is None or self.gap <= 0:
            return None
        saved_B = self.now_B - self.moved_back(feature, move)
        share = float(saved_B.mean()) / float(self.now_B.mean() - self.before_B.mean())
        sure = saved_B.mean() > SAVED_LIMIT * block_chance(saved_B)
        return share if sure and share >= SAVED_SHARE else None


def block_chance(losses_B: Floats) -> float:
    """The deviation of a mean that blocks of neighbouring rows show."""
    means = np.array([part.mean() for part in np.array_split(losses_B, LOSS_BLOCKS) if len(part)])
    return float(means.std(ddof=1)) / float(np.sqrt(len(means)))
