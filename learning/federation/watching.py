"""Which nodes are hostile, by how their updates change when the weights move.

An honest node's updates go down its own loss. Once the weights have moved, its next update differs from the one before
by the curvature of that loss along the move (the mean value theorem), which turns it against the move: so it is on the
way to a minimum, whatever rows the node has. Updates of the opposite sign turn with the move. FLDetector (Zhang et al.
2022) names nodes whose updates are not what the theorem foretells; here the sign alone decides, and nothing is
estimated. Where updates point says less: near a minimum of the sum each honest one points against the others' sum.

Shapes: P shared numbers.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from learning.federation.aggregation import Doubles, Update
from learning.federation.sharing import Vector

LEAST = 3
"""Moves that a node has answered to before it is named."""


@dataclass
class Watch:
    """changes: each node's latest update. rounds: when that was. starts: where the weights stood in those rounds.

    cosines: between each move and how a node's update differs from the one before it. named: hostile nodes, and why.
    """

    changes: dict[str, Vector] = field(default_factory=dict[str, Vector])
    rounds: dict[str, int] = field(default_factory=dict[str, int])
    starts: dict[int, Vector] = field(default_factory=dict[int, Vector])
    cosines: dict[str, list[float]] = field(default_factory=dict[str, list[float]])
    named: dict[str, str] = field(default_factory=dict[str, str])

    def look(self, number: int, start_P: Vector, updates: Sequence[Update]) -> None:
        """Take in the updates that a round brought from where the weights stood, and name who is hostile by now."""
        self.starts[number] = start_P
        for update in updates:
            if update.node in self.rounds:
                self._compare(update, start_P - self.starts[self.rounds[update.node]])
            self.changes[update.node], self.rounds[update.node] = update.change_P, number
        self.starts = {one: start for one, start in self.starts.items() if one in self.rounds.values()}

    def without_named(self, updates: Sequence[Update]) -> list[Update]:
        """The updates of nodes that are not named; of all, where those are no majority."""
        sound = [update for update in updates if update.node not in self.named]
        return sound if 2 * len(sound) > len(updates) else list(updates)

    def _compare(self, update: Update, move_P: Vector) -> None:
        turn_P = (update.change_P.astype(np.float64) - self.changes[update.node]) * update.known_P
        cosines = self.cosines.setdefault(update.node, [])
        cosines.append(_cosine(turn_P, move_P))
        mean = sum(cosines) / len(cosines)
        if len(cosines) >= LEAST and mean > 0 and update.node not in self.named:
            self.named[update.node] = f"its updates turn with the weights' moves, not against: mean cosine {mean:.2f}"


def _cosine(turn_P: Doubles, move_P: Vector) -> float:
    return float(turn_P @ move_P / (np.linalg.norm(turn_P) * np.linalg.norm(move_P.astype(np.float64)) or 1.0))
