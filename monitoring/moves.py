"""Why did the levels of a batch move? One sensor by itself, or the process behind all of them.

Shapes: F features, H candidate directions, K chosen ones.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

PRICE = 14.0
"""What a further direction must explain, as a drop of the misfit (twice a log-likelihood ratio)."""
EVIDENCE = 20.0
"""By how much an explanation, its price paid, must beat chance."""
MARGIN = 9.0
"""By how much a fault must beat the process before it is believed."""
MOST_FAULTS, MOST_PROCESSES = 2, 4
LONGEST = 1.5
"""A process moves no farther than the channel that it is seen through, give or take."""
LEAST_ALONE = 0.2
KIN = 0.5
NOTHING = 1e-9


@dataclass(frozen=True)
class Explanation:
    """Directions along which the levels moved, by the feature that leads each, and how badly the rest fits chance."""

    features: tuple[int, ...]
    misfit: float
    vagueness: float = 0.0

    @property
    def cost(self) -> float:
        """Misfit and the price of its directions."""
        return self.misfit + PRICE * len(self.features)


@dataclass(frozen=True)
class Move:
    """A batch's levels against a regime's. size_F: in deviations; still, faults, process: three ways to see it.

    together: whether two sensors that usually move together did so again, which no two faults would.
    """

    size_F: Floats
    still: Explanation
    faults: Explanation
    process: Explanation
    together: bool

    @property
    def limit(self) -> float:
        """The misfit that chance explains."""
        return misfit_limit(len(self.size_F))

    @property
    def moved(self) -> bool:
        """Whether anything moved by more than chance explains."""
        better = min(self.faults.cost, self.process.cost + self.process.vagueness)
        return self.still.misfit > self.limit or self.still.cost > better + EVIDENCE

    @property
    def faulty(self) -> bool:
        """Whether single sensors moved by themselves: the rest stands still, and no process explains it as well."""
        fits = self.faults.misfit <= self.limit and not self.together
        return self.moved and fits and self.faults.cost + MARGIN <= self.process.cost


def misfit_limit(features: int) -> float:
    """The misfit of so many levels that chance explains; about six deviations of chi-squared above its mean."""
    return features + 6 * float(np.sqrt(2 * features)) + 12


def explain(
    size_F: Floats, chance_FF: Floats, relations_FF: Floats, doubt_FF: Floats, told_F: NDArray[np.bool_]
) -> Move:
    """Compare sensors that moved alone with processes that move every sensor by its correlation with one.

    size_F: how far each level moved; chance_FF: the covariance of what chance makes; relations_FF: correlations within
    batches; doubt_FF: their variance. told_F: the sensors of which the others say enough to tell that one moved alone;
    any other may be all that is seen of a process. Generalised least squares with directions added greedily (orthogonal
    matching pursuit, Pati et al. 1993). A process is seen through one channel, or through one while its nearest kin
    holds still.
    """
    own_FH, leaders_H, told = np.eye(len(size_F)), np.arange(len(size_F)), np.flatnonzero(told_F)
    kin_F = (np.abs(relations_FF) - np.diag(np.diag(np.abs(relations_FF)))).argmax(1)
    kinship_F = relations_FF[leaders_H, kin_F]
    own_F = np.maximum(1 - kinship_F**2, LEAST_ALONE)
    alone_FH = (relations_FF - kinship_F * relations_FF[:, kin_F]) / own_F
    processes_FH = np.concatenate([relations_FF, alone_FH], axis=1)
    alone_doubt_FH = (doubt_FF + kinship_F**2 * doubt_FF[:, kin_F]) / own_F**2
    doubts_FH = np.concatenate([doubt_FF, alone_doubt_FH], axis=1)
    still = _misfit(size_F, chance_FF, own_FH[:, :0])
    faults = _pursue(size_F, chance_FF, own_FH[:, told], np.zeros_like(own_FH[:, told]), told, MOST_FAULTS)
    process = _pursue(size_F, chance_FF, processes_FH, doubts_FH, np.tile(leaders_H, 2), MOST_PROCESSES)
    together = _moved_together(size_F, relations_FF, faults.features)
    return Move(size_F, Explanation((), still), faults, process, together)


def _moved_together(size_F: Floats, relations_FF: Floats, pair: tuple[int, ...]) -> bool:
    if len(pair) != 2:
        return False
    first, second = pair
    kinship, largest = relations_FF[first, second], max(abs(size_F[first]), abs(size_F[second]))
    apart = abs(size_F[first] - np.sign(kinship) * size_F[second])
    return bool(abs(kinship) > KIN and apart < largest / 2)


def _pursue(
    size_F: Floats,
    chance_FF: Floats,
    directions_FH: Floats,
    doubts_FH: Floats,
    leaders_H: NDArray[np.int64],
    most: int,
) -> Explanation:
    chosen: list[int] = []
    best = Explanation((), _misfit(size_F, chance_FF, directions_FH[:, chosen]))
    allowed_FF = chance_FF
    for _ in range(min(most, len(leaders_H))):
        weighted_FF = _without(np.asarray(np.linalg.inv(allowed_FF), dtype=np.float64), directions_FH[:, chosen])
        pulled_H = directions_FH.T @ (weighted_FF @ size_F)
        strength_H = np.einsum("fh,fh->h", directions_FH, weighted_FF @ directions_FH)
        gains_H = np.where(strength_H > NOTHING, pulled_H**2 / np.maximum(strength_H, NOTHING), 0)
        gains_H[chosen] = 0
        chosen.append(int(gains_H.argmax()))
        lengths_K = _lengths(size_F, allowed_FF, directions_FH[:, chosen])
        allowed_FF = chance_FF + np.diag(doubts_FH[:, chosen] @ lengths_K**2)
        vagueness = float(np.linalg.slogdet(allowed_FF)[1] - np.linalg.slogdet(chance_FF)[1])
        leaders = tuple(int(leaders_H[h]) for h in chosen)
        found = Explanation(leaders, _misfit(size_F, allowed_FF, directions_FH[:, chosen]), vagueness)
        beyond = np.abs(lengths_K) > LONGEST * np.abs(size_F[list(leaders)]) + 1
        if found.cost >= best.cost or beyond.any():
            break
        best = found
    return best


def _lengths(size_F: Floats, allowed_FF: Floats, directions_FK: Floats) -> Floats:
    """How far it went along each direction, by generalised least squares."""
    pulled_FK = np.linalg.solve(allowed_FF, directions_FK)
    inner_KK = directions_FK.T @ pulled_FK + NOTHING * np.eye(directions_FK.shape[1])
    return np.asarray(np.linalg.solve(inner_KK, pulled_FK.T @ size_F), dtype=np.float64)


def _misfit(size_F: Floats, allowed_FF: Floats, directions_FK: Floats) -> float:
    rest_F = size_F - directions_FK @ _lengths(size_F, allowed_FF, directions_FK) if directions_FK.shape[1] else size_F
    return float(rest_F @ np.linalg.solve(allowed_FF, rest_F))


def _without(precision_FF: Floats, directions_FK: Floats) -> Floats:
    """The precision that is left once moves along some directions are free."""
    if not directions_FK.shape[1]:
        return precision_FF
    pulled_FK = precision_FF @ directions_FK
    inner_KK = directions_FK.T @ pulled_FK + NOTHING * np.eye(directions_FK.shape[1])
    return precision_FF - pulled_FK @ np.linalg.solve(inner_KK, pulled_FK.T)
