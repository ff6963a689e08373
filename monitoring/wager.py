"""Which of two models is better, asked anew after every batch: a wager against "not better" that stays valid.

Where the challenger is not better, the wealth ever reaches 20 with a chance of about 1/20 at most, however often one
looks: the sequential t-test with a mixture of effects (Lai 1976; Pérez-Ortiz, Lardy, de Heide & Grünwald 2024), which
needs no bound on the losses and no variance given beforehand. Three guards were measured in (`benchmarks.gate`): the
larger of the blocks' and the batches' variance counts, luck that persists raises it, and rows as bad as the worst that
may not have come yet are taken off the gain.

Shapes: B rows of one batch in order of time.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

BLOCKS = 5
ENOUGH = 20.0
LEAST_BATCHES = 4
"""With fewer batches nothing can be said about luck that persists from batch to batch, and none is enough."""
MOST_BATCHES = 400
EFFECTS = (0.1, 1.0)
"""Variances, in those of a batch, of the normal mixtures over the gain; their wealths are averaged."""
UNSEEN = 3.5
"""So many rows like the worst may have stayed away by chance: three are one in twenty (Hanley 1983), asked once."""
UNSURE = 1.5
"""Per lag and batch: by how much more than it seems luck may persist, as few batches cannot tell."""

_TINY = 1e-12

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Wager:
    """A running comparison of a challenger with an incumbent, as plain numbers.

    gains: Σ over each batch's blocks of the challenger's mean gain, a number a batch. squares: Σ of the blocks' squared
    gains. blocks, rows: how many there were. worst: what the worst row so far has cost with either model.
    """

    gains: tuple[float, ...] = ()
    squares: float = 0.0
    blocks: int = 0
    rows: int = 0
    worst: float = 0.0

    def observe(self, gains_B: Floats, worst: float = 0.0) -> "Wager":
        """The wager after one more batch: how much less each row cost under the challenger, in order of time.

        worst: what the worst of these rows cost with either model, where that is more than the largest difference.
        Raises ValueError for a gain that is not finite.
        """
        if not np.isfinite(gains_B).all() or not math.isfinite(worst):
            raise ValueError("a comparison needs finite losses of both models")
        if len(gains_B) == 0:
            return self
        means = np.array([block.mean() for block in np.array_split(gains_B, min(BLOCKS, len(gains_B)))])
        return Wager(
            (*self.gains, float(means.sum()))[-MOST_BATCHES:],
            self.squares + float(np.square(means).sum()),
            self.blocks + len(means),
            self.rows + len(gains_B),
            max(self.worst, worst, float(np.abs(gains_B).max())),
        )

    @property
    def log_wealth(self) -> float:
        """The natural logarithm of the wealth; 0 at the start and where nothing tells the two apart."""
        count = len(self.gains)
        if count < 2 or self.squares == 0:
            return 0.0
        gains = np.array(self.gains)
        total = float(gains.sum()) - UNSEEN * self.worst * self.blocks / self.rows
        variance = max(self._variance(gains) * _persistence(gains), _TINY * total**2)
        t = total / math.sqrt(count * variance)
        return float(np.logaddexp.reduce([_log_bayes_factor(t, count, e) for e in EFFECTS])) - math.log(len(EFFECTS))

    def _variance(self, gains_T: Floats) -> float:
        """Of a batch's gain: rows of one batch may err together, so the larger of two estimates counts."""
        within = (self.squares - float(gains_T.sum()) ** 2 / self.blocks) / (self.blocks - 1)
        return max(within * self.blocks / len(gains_T), float(gains_T.var(ddof=1)), 0.0)

    @property
    def wealth(self) -> float:
        """How much a stake of 1 has become; at most e^700."""
        return math.exp(min(self.log_wealth, 700.0))

    @property
    def proven(self) -> bool:
        """Whether the challenger is better, with at most one such answer in twenty wrong."""
        return len(self.gains) >= LEAST_BATCHES and self.wealth >= ENOUGH


def _log_bayes_factor(t: float, count: int, effect: float) -> float:
    """Of a gain above 0, normal with this variance, against none, by the t-statistic of so many batches."""
    spread, freedom = 1 + count * effect, count - 1
    both_sides = (count / 2) * (math.log1p(t * t / freedom) - math.log1p(t * t / (spread * freedom)))
    above = _log_normal_cdf(t * math.sqrt(count * effect / spread))
    return both_sides - 0.5 * math.log(spread) + math.log(2) + above


def _persistence(gains_T: Floats) -> float:
    """How much more the batches vary in the long run than each by itself; at least 1.

    Bartlett's weights (Newey & West 1987) on the gains around their mean, which few batches make look too steady.
    """
    count = len(gains_T)
    centred_T = gains_T - gains_T.mean()
    alone = float(centred_T @ centred_T)
    if count < LEAST_BATCHES or alone == 0:
        return 1.0
    lags = min(count - 2, math.ceil(2 * count ** (1 / 3)))
    weights = [2 * (1 - lag / (lags + 1)) for lag in range(1, lags + 1)]
    shared = sum(w * float(centred_T[lag:] @ centred_T[:-lag]) for lag, w in enumerate(weights, start=1))
    return max(1.0, (1 + shared / alone) * count / (count - 1)) * (1 + UNSURE * lags / count)


def _log_normal_cdf(x: float) -> float:
    """log Φ(x), also far in the left tail."""
    if x > -10:
        return math.log(0.5 * math.erfc(-x / math.sqrt(2)))
    return -0.5 * x * x - math.log(-x * math.sqrt(2 * math.pi))
