"""Policies tested on history: every trigger policy is a look-up in the matrix of versions and batches.

A version is numbered by the last batch it learned from, so cell (v, t) is: version v serves, batch t has just come.
Shapes: T batches in order of time, V = T versions, P policies.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from monitoring.performance import LOWER_IS_BETTER, Metric

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
Numbers = NDArray[np.int64]

Fires = Callable[[Numbers, int], Flags]
"""The version that each policy serves (P,), and the batch that has just come → which policies train on it (P,)."""


@dataclass(frozen=True)
class Prices:
    """What a training costs, each sample that it learns from, and each point of score lost on a batch.

    A point is a hundredth: of the metric where it is a share, of the target's deviation for rmse and mae, of a nat for
    log_loss.
    """

    training: float = 1.0
    sample: float = 0.0
    point: float = 1.0

    def of_trainings(self, samples_T: Floats) -> Floats:
        """The price of training on each batch; where nothing can be learned there is no training."""
        return self.training + self.sample * samples_T


@dataclass(frozen=True)
class Scores:
    """What each version would have scored on each later batch, before anything learned from that.

    scores_VT: NaN where the batch has no labels, was there before the version, or the version does not exist.
    learnable_T: whether a version comes of training on a batch; the first that is, is where all policies start.
    samples_T: what that training learns from. deviation: of the target, for the points of rmse and mae.
    """

    metric: Metric
    scores_VT: Floats
    learnable_T: Flags
    samples_T: Floats
    deviation: float = 1.0

    @property
    def first(self) -> int:
        """The version that all policies start from."""
        return int(np.flatnonzero(self.learnable_T)[0])

    @property
    def points_VT(self) -> Floats:
        """Points lost against a perfect score; none where there is no score."""
        if self.metric in LOWER_IS_BETTER:
            lost_VT = self.scores_VT / (1.0 if self.metric == "log_loss" else self.deviation)
        else:
            lost_VT = 1 - self.scores_VT
        return 100 * np.nan_to_num(lost_VT, nan=0.0)


@dataclass(frozen=True)
class Replay:
    """What some policies would have done and cost.

    served_PT: the version that served each batch, −1 before the first. fired_PT: on which batches they decided to
    train. A training on the last batch is not paid for: nothing that comes after could show its worth.
    """

    served_PT: Numbers
    fired_PT: Flags
    trainings_P: Numbers
    samples_P: Floats
    score_P: Floats
    points_P: Floats
    cost_P: Floats


def replay(scores: Scores, fires: Fires, policies: int, prices: Prices) -> Replay:
    """Take policies through history; each sees only what its own versions would have shown it."""
    batches = len(scores.learnable_T)
    served_PT = np.full((policies, batches), -1, np.int64)
    fired_PT = np.zeros((policies, batches), np.bool_)
    current_P = np.full(policies, scores.first, np.int64)
    for t in range(scores.first + 1, batches):
        served_PT[:, t] = current_P
        fired_PT[:, t] = fires(current_P, t)
        if scores.learnable_T[t]:
            current_P = np.where(fired_PT[:, t], t, current_P)
    return _account(scores, served_PT, fired_PT, prices)


def replay_matrices(scores: Scores, fires_PVT: Flags, prices: Prices) -> Replay:
    """Policies given as which of them train in which cell."""
    rows_P = np.arange(len(fires_PVT))
    return replay(scores, lambda current_P, t: fires_PVT[rows_P, current_P, t], len(fires_PVT), prices)


def _account(scores: Scores, served_PT: Numbers, fired_PT: Flags, prices: Prices) -> Replay:
    later = np.arange(scores.first + 1, len(scores.learnable_T))
    served_PL = served_PT[:, later]
    scores_PL, points_PL = scores.scores_VT[served_PL, later], scores.points_VT[served_PL, later]
    paid_PL = (fired_PT & scores.learnable_T)[:, later][:, :-1]
    prices_L = prices.of_trainings(scores.samples_T)[later][:-1]
    points_P = points_PL.sum(1)
    scored_P = np.maximum(1, np.isfinite(scores_PL).sum(1))
    return Replay(
        served_PT,
        fired_PT,
        paid_PL.sum(1),
        paid_PL @ scores.samples_T[later][:-1],
        np.nansum(scores_PL, 1) / scored_P,
        points_P,
        paid_PL @ prices_L + prices.point * points_P,
    )


def oracle(scores: Scores, prices: Prices) -> Flags:
    """On which batches training would have cost least, knowing all that came: (T,).

    The dynamic program over (batch, version that serves it), from the last batch back.
    """
    batches, first = len(scores.learnable_T), scores.first
    points_VT, price_T = prices.point * scores.points_VT, prices.of_trainings(scores.samples_T)
    ahead_V = np.zeros(batches)  # the least cost of all batches after t, by the version that serves after t
    trains_VT = np.zeros((batches, batches), np.bool_)
    for t in range(batches - 1, first, -1):
        trained = price_T[t] + ahead_V[t] if scores.learnable_T[t] and t < batches - 1 else np.inf
        trains_VT[:, t] = trained < ahead_V
        ahead_V = points_VT[:, t] + np.minimum(ahead_V, trained)
    trained_T = np.zeros(batches, np.bool_)
    version = first
    for t in range(first + 1, batches):
        trained_T[t] = trains_VT[version, t]
        version = t if trained_T[t] else version
    return trained_T


def replay_plan(scores: Scores, trained_T: Flags, prices: Prices) -> Replay:
    """The replay of one fixed plan of trainings."""
    return replay(scores, lambda current_P, t: np.full(len(current_P), trained_T[t]), 1, prices)


def cheapest(costs_P: Sequence[float] | Floats) -> int:
    """The first policy of the least cost."""
    return int(np.argmin(np.asarray(costs_P)))


def as_floats(values: Sequence[Any]) -> list[float | None]:
    """Numbers as JSON holds them: None for what is not finite."""
    return [float(value) if np.isfinite(value) else None for value in values]
