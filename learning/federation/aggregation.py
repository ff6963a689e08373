"""From the nodes' updates to the coordinator's next step.

Shapes: n nodes, P shared numbers.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from learning.federation.config import (
    ROBUST,
    AggregationConfig,
    FedAdam,
    FedYogi,
    Krum,
    Median,
    TrimmedMean,
)
from learning.federation.sharing import Vector

Doubles = NDArray[np.float64]
Known = NDArray[np.bool_]


@dataclass(frozen=True)
class Update:
    """One node's change of the shared numbers. rows: what it weighs. known_P: the numbers it can learn about."""

    node: str
    change_P: Vector
    rows: float
    known_P: Known


@dataclass
class ServerState:
    """What the coordinator's optimiser keeps: moments, and for scaffold its control variate."""

    first_P: Doubles
    second_P: Doubles
    control_P: Vector

    @classmethod
    def fresh(cls, size: int) -> "ServerState":
        """Before the first round."""
        return cls(np.zeros(size), np.zeros(size), np.zeros(size, dtype=np.float32))


def combine(config: AggregationConfig, updates: Sequence[Update]) -> Doubles:
    """The one change that the updates make together; nodes that know nothing of a number do not vote on it."""
    changes_nP = np.stack([update.change_P for update in updates]).astype(np.float64)
    known_nP = np.stack([update.known_P for update in updates])
    if isinstance(config, ROBUST):
        return _robust(config, changes_nP, known_nP)
    weights_n1 = np.array([[update.rows] for update in updates])
    return divide((weights_n1 * known_nP * changes_nP).sum(0), (weights_n1 * known_nP).sum(0))


def _robust(config: Median | TrimmedMean | Krum, changes_nP: Doubles, known_nP: Known) -> Doubles:
    count = len(changes_nP)
    bad = min(int(np.ceil(config.hostile * count - 1e-9)), (count - 1) // 2)
    if config.mixing:
        changes_nP, known_nP = mixed(changes_nP, known_nP, bad)
    match config:
        case Median():
            return _trimmed(changes_nP, known_nP, count)
        case TrimmedMean():
            return _trimmed(changes_nP, known_nP, bad)
        case Krum():
            return _trimmed(changes_nP, known_nP & krum_choice(changes_nP, known_nP, bad)[:, None], 0)


def mixed(changes_nP: Doubles, known_nP: Known, bad: int) -> tuple[Doubles, Known]:
    """Each update's mean with those nearest to it, all but so many (nearest-neighbour mixing, Allouah et al. 2023).

    Where nodes' rows differ, honest updates differ too, and a rule that distrusts what is unlike the rest goes astray;
    mixed, they are alike.
    """
    apart_nn = _distances(changes_nP, known_nP)
    np.fill_diagonal(apart_nn, -1.0)  # each is its own nearest
    near_nn = np.argsort(apart_nn, axis=1, kind="stable")[:, : len(changes_nP) - bad]
    votes_nP = np.stack([known_nP[near].sum(0) for near in near_nn]).astype(np.float64)
    total_nP = np.stack([(known_nP[near] * changes_nP[near]).sum(0) for near in near_nn])
    return divide(total_nP, votes_nP), votes_nP > 0


def divide(total_P: Doubles, weight_P: Doubles) -> Doubles:
    """A weighted mean from its sums; nothing where nobody knew."""
    return np.divide(total_P, weight_P, out=np.zeros_like(total_P), where=weight_P > 0)


def step(config: AggregationConfig, state: ServerState, change_P: Doubles) -> Doubles:
    """How far the shared numbers go by a combined change; Adam and Yogi keep their moments in `state`."""
    if not isinstance(config, FedAdam | FedYogi):
        return change_P
    squares_P, kept = change_P**2, state.second_P
    state.first_P = config.beta1 * state.first_P + (1 - config.beta1) * change_P
    if isinstance(config, FedAdam):
        state.second_P = config.beta2 * kept + (1 - config.beta2) * squares_P
    else:
        state.second_P = kept - (1 - config.beta2) * squares_P * np.sign(kept - squares_P)
    return config.learning_rate * state.first_P / (np.sqrt(state.second_P) + config.tau)


def krum_choice(changes_nP: Doubles, known_nP: Known, bad: int) -> Known:
    """Which updates multi-Krum takes: all but so many that lie farthest from their nearest neighbours."""
    count = len(changes_nP)
    near = max(1, count - bad - 2)
    scores = np.sort(_distances(changes_nP, known_nP), axis=1)[:, :near].sum(1)
    chosen = np.zeros(count, dtype=bool)
    chosen[np.argsort(scores, kind="stable")[: count - bad]] = True
    return chosen


def _distances(changes_nP: Doubles, known_nP: Known) -> Doubles:
    """Squared distances over what both know, as if it were all; infinite to itself."""
    count, size = changes_nP.shape
    apart = np.full((count, count), np.inf)
    for i in range(count):
        for j in range(i):
            both_P = known_nP[i] & known_nP[j]
            squares = float(((changes_nP[i] - changes_nP[j])[both_P] ** 2).sum())
            apart[i, j] = apart[j, i] = squares * size / max(int(both_P.sum()), 1)
    return apart


def _trimmed(changes_nP: Doubles, known_nP: Known, cut: int) -> Doubles:
    """The mean of each number's votes without so many at both ends; where that is all, their median."""
    count_P = known_nP.sum(0)
    sorted_nP = np.sort(np.where(known_nP, changes_nP, np.inf), axis=0)
    cut_P = np.minimum(cut, np.maximum(count_P - 1, 0) // 2)
    place_n1 = np.arange(len(changes_nP))[:, None]
    kept_nP = (place_n1 >= cut_P) & (place_n1 < count_P - cut_P)
    return divide(np.where(kept_nP, sorted_nP, 0.0).sum(0), kept_nP.sum(0).astype(np.float64))
