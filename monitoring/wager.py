"""Which of two models is better, asked anew after every batch: a wager against "not better" that stays valid.

The wealth is a test martingale: where the challenger is not better, it ever reaches 20 with a chance of at most 1/20,
however often one looks. It is the half-normal mixture of self-normalised sums (Robbins 1970; de la Peña 1999): no bound
on the losses and no estimate of their variance is needed, only that block means lie symmetrically about 0 or below.

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

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Wager:
    """A running comparison of a challenger with an incumbent, as plain numbers.

    gains: Σ over each batch's blocks of the challenger's mean gain, a number a batch. squares: Σ of the blocks' squared
    gains. prior: twice that of the first batch that tells them apart.
    """

    gains: tuple[float, ...] = ()
    squares: float = 0.0
    prior: float = 0.0

    def observe(self, gains_B: Floats) -> "Wager":
        """The wager after one more batch: how much less each row cost under the challenger, in order of time.

        Raises ValueError for a gain that is not finite.
        """
        if not np.isfinite(gains_B).all():
            raise ValueError("a comparison needs finite losses of both models")
        if len(gains_B) == 0:
            return self
        means = np.array([block.mean() for block in np.array_split(gains_B, min(BLOCKS, len(gains_B)))])
        squares = float(np.square(means).sum())
        return Wager(
            (*self.gains, float(means.sum()))[-MOST_BATCHES:],
            self.squares + squares,
            self.prior if self.prior > 0 else 2 * squares,
        )

    @property
    def log_wealth(self) -> float:
        """The natural logarithm of the wealth; 0 at the start."""
        if self.prior == 0:
            return 0.0
        gains = np.array(self.gains)
        # Rows of one batch may err together, and luck may persist across batches: the larger variance counts.
        variance = max(self.squares, float(gains @ gains)) * _persistence(gains)
        spread, total = variance + self.prior, float(gains.sum())
        chance = _log_normal_cdf(total / math.sqrt(spread))
        return math.log(2) + 0.5 * math.log(self.prior / spread) + total**2 / (2 * spread) + chance

    @property
    def wealth(self) -> float:
        """How much a stake of 1 has become; at most e^700."""
        return math.exp(min(self.log_wealth, 700.0))

    @property
    def proven(self) -> bool:
        """Whether the challenger is better, with at most one such answer in twenty wrong."""
        return len(self.gains) >= LEAST_BATCHES and self.wealth >= ENOUGH


def _persistence(gains_T: Floats) -> float:
    """How many times more the gains of T batches vary in the long run than each by itself; at least 1.

    Bartlett's weights (Newey & West 1987) on the gains around their mean.
    """
    count = len(gains_T)
    centred_T = gains_T - gains_T.mean()
    alone = float(centred_T @ centred_T)
    if count < LEAST_BATCHES or alone == 0:
        return 1.0
    lags = min(count - 2, math.ceil(2 * count ** (1 / 3)))
    weights = [2 * (1 - lag / (lags + 1)) for lag in range(1, lags + 1)]
    shared = sum(w * float(centred_T[lag:] @ centred_T[:-lag]) for lag, w in enumerate(weights, start=1))
    return max(1.0, (1 + shared / alone) * count / (count - 1))


def _log_normal_cdf(x: float) -> float:
    """log Φ(x), also far in the left tail."""
    if x > -10:
        return math.log(0.5 * math.erfc(-x / math.sqrt(2)))
    return -0.5 * x * x - math.log(-x * math.sqrt(2 * math.pi))
