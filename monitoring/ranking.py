"""Scores: innovations as standard normal numbers, by their rank among the reference's.

Shapes: N rows, F features, Q quantile levels, B blocks.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.signal import lfilter
from scipy.special import ndtri

from monitoring.autoregression import Floats, known_values

QUANTILES = 257
MEMORY = 0.95
"""Of the moving mean of the innovations' size."""
ARCH_LAGS = 24
LEAST_BLOCKS = 40


@dataclass(frozen=True)
class Ranking:
    """The reference's distributions that innovations are ranked in.

    volatile_F: features whose innovations' size is itself autocorrelated. Their level is scored in units of the moving
    mean size, which starts at `size_F`, and their scale by the mean sizes of whole blocks of `block_rows`, less
    `block_rho_F` of the block's before, in units of `block_deviation_F`. samples_CF: how many values a sketch holds.
    """

    volatile_F: NDArray[np.bool_]
    size_F: Floats
    level_FQ: Floats
    scale_FQ: Floats
    samples_CF: Floats
    block_rows: int
    block_rho_F: Floats
    block_deviation_F: Floats

    def level_ranks(self, innovations_NF: Floats, size_F: Floats) -> tuple[Floats, Floats]:
        """Scores of where the innovations lie, and the moving mean size after them."""
        sized_NF, after_F = _sized(innovations_NF, self.volatile_F, size_F)
        return self._scores(0, sized_NF), after_F

    def scale_ranks(self, innovations_NF: Floats, block_F: Floats) -> tuple[Floats, Floats]:
        """Scores of how large the innovations are, and the last block's rank.

        A volatile feature has one score a block, in the first rows of its column, and NaN in the others.
        """
        sizes_NF, weights = self._sizes(innovations_NF)
        return self._in_blocks(self._scores(1, sizes_NF), weights, block_F)

    def tally(self, innovations_NF: Floats, size_F: Floats, block_F: Floats, every: int) -> "Tally":
        """Both scores of a batch, summed up, and the level's scores of every so many rows.

        Where not every row is wanted by itself they are put in order first: that ranks them ten times as fast.
        """
        sized_NF, after_F = _sized(innovations_NF, self.volatile_F, size_F)
        sizes_NF, weights = self._sizes(innovations_NF)
        sampled_NF = level_NF = self._scores(0, sized_NF[::every])
        if every > 1:
            level_NF = self._scores(0, _in_order(sized_NF, np.full_like(self.volatile_F, True)))
            sizes_NF = _in_order(sizes_NF, ~self.volatile_F)
        scale_NF, last_F = self._in_blocks(self._scores(1, sizes_NF), weights, block_F)
        sums_CF = np.array([np.nansum(scores_NF, 0) for scores_NF in (level_NF, scale_NF)])
        counts_CF = np.array([np.isfinite(scores_NF).sum(0) for scores_NF in (level_NF, scale_NF)])
        return Tally(sums_CF, counts_CF, sampled_NF, after_F, last_F)

    def _sizes(self, innovations_NF: Floats) -> tuple[Floats, dict[int, Floats]]:
        """How large the innovations are; of volatile features the blocks' means, and by feature the blocks' weights."""
        sizes_NF = np.abs(innovations_NF)
        volatile = np.flatnonzero(self.volatile_F).tolist()
        return sizes_NF, {f: _into_blocks(sizes_NF, f, self.block_rows) for f in volatile}

    def _in_blocks(self, scores_NF: Floats, weights: Mapping[int, Floats], block_F: Floats) -> tuple[Floats, Floats]:
        """Each block's score less what the one before predicts, for volatile features; and the last block's."""
        after_F = block_F.copy()
        for f, weights_B in weights.items():
            blocks_B = scores_NF[: len(weights_B), f]
            before_B = np.append(block_F[f], blocks_B[:-1])
            after_F[f] = blocks_B[-1]
            fresh_B = (blocks_B - self.block_rho_F[f] * before_B) / self.block_deviation_F[f]
            scores_NF[: len(weights_B), f] = np.where(np.isfinite(before_B), fresh_B, blocks_B) * weights_B
        return scores_NF, after_F

    def _scores(self, channel: int, values_NF: Floats) -> Floats:
        sketch_FQ, distinct_F = (self.level_FQ, self.scale_FQ)[channel], self._distinct_CF[channel]
        return ndtri(_ranks(sketch_FQ, distinct_F, self.samples_CF[channel], values_NF))

    @cached_property
    def _distinct_CF(self) -> NDArray[np.bool_]:
        """Whether no value stands twice in a sketch, so that nothing ties with it."""
        return np.array([(np.diff(sketch_FQ, axis=1) > 0).all(1) for sketch_FQ in (self.level_FQ, self.scale_FQ)])


@dataclass(frozen=True)
class Tally:
    """What a batch's scores come to; sampled_NF: the level's of some rows. size_F, block_F: for the next batch."""

    sums_CF: Floats
    counts_CF: NDArray[np.int64]
    sampled_NF: Floats
    size_F: Floats
    block_F: Floats


def fit_ranking(innovations_NF: Floats, batch_rows: int, ordered: bool) -> Ranking:
    """Sketch the reference's innovations, in order of time.

    ordered: whether autocorrelation of the innovations' size means anything.
    """
    features, rows = innovations_NF.shape[1], len(innovations_NF)
    volatile_F = np.array([ordered and _is_volatile(e_N) for e_N in innovations_NF.T], dtype=bool)
    sizes_NF = np.abs(innovations_NF)
    size_F = np.array([known_values(sizes_N).mean() if len(known_values(sizes_N)) else 1.0 for sizes_N in sizes_NF.T])
    sized_NF, _ = _sized(innovations_NF, volatile_F, size_F)
    block_rows = max(1, min(batch_rows, rows // LEAST_BLOCKS))
    rho_F, deviation_F = np.zeros(features), np.ones(features)
    for f in np.flatnonzero(volatile_F).tolist():
        _into_blocks(sizes_NF, f, block_rows)
        rho_F[f], deviation_F[f] = _block_autocorrelation(known_values(sizes_NF[:, f]))
    samples_CF = np.array([np.isfinite(series_NF).sum(0) for series_NF in (sized_NF, sizes_NF)], dtype=np.float64)
    return Ranking(volatile_F, size_F, _sketch(sized_NF), _sketch(sizes_NF), samples_CF, block_rows, rho_F, deviation_F)


def _is_volatile(innovations_N: Floats) -> bool:
    sizes_N = np.abs(known_values(innovations_N))
    if len(sizes_N) <= ARCH_LAGS or not np.ptp(sizes_N):
        return False
    centred_N = sizes_N - sizes_N.mean()
    products = [centred_N[k:] @ centred_N[:-k] for k in range(1, ARCH_LAGS + 1)]
    return bool(sum(products) / (centred_N @ centred_N) > 3 * np.sqrt(ARCH_LAGS / len(sizes_N)))


def _sized(innovations_NF: Floats, volatile_F: NDArray[np.bool_], size_F: Floats) -> tuple[Floats, Floats]:
    """Innovations of volatile features in units of the mean size before them, and the mean size after them."""
    sized_NF, after_F = innovations_NF.copy(), size_F.copy()
    for f in np.flatnonzero(volatile_F).tolist():
        known_N = np.isfinite(sized_NF[:, f])
        sizes_N = np.abs(sized_NF[known_N, f])
        moving_N, _ = lfilter([1 - MEMORY], [1, -MEMORY], sizes_N, zi=[MEMORY * size_F[f]])
        before_N = np.append(size_F[f], moving_N)
        sized_NF[known_N, f] /= before_N[:-1]
        after_F[f] = before_N[-1]
    return sized_NF, after_F


def _in_order(values_NF: Floats, chosen_F: NDArray[np.bool_]) -> Floats:
    """The chosen columns, each sorted for itself."""
    columns_FN = np.ascontiguousarray(values_NF.T)
    columns_FN[chosen_F] = np.sort(columns_FN[chosen_F], axis=1)
    return columns_FN.T


def _into_blocks(sizes_NF: Floats, feature: int, block_rows: int) -> Floats:
    """Put the mean size of each block into a column's first rows; returns the blocks' weights, one for whole ones."""
    blocks = np.array_split(sizes_NF[:, feature], max(1, round(len(sizes_NF) / block_rows)))
    counts_B = np.array([np.isfinite(block).sum() for block in blocks])
    means_B = np.array([np.nansum(block) for block in blocks]) / np.where(counts_B, counts_B, np.nan)
    sizes_NF[:, feature] = np.nan
    sizes_NF[: len(blocks), feature] = means_B
    return np.minimum(1, np.sqrt(counts_B / block_rows))


def _block_autocorrelation(means_B: Floats) -> tuple[float, float]:
    """Autocorrelation of the block means' scores, raised by 1.6 standard errors, and the deviation that it leaves."""
    ranks_B = means_B.argsort().argsort()
    scores_B = ndtri((ranks_B + 0.5) / len(ranks_B))
    found = float(scores_B[1:] @ scores_B[:-1] / (scores_B @ scores_B))
    rho = min(1.0, found + 1.6 * np.sqrt((1 - found**2) / len(scores_B)))
    return rho, float(np.std(scores_B[1:] - rho * scores_B[:-1]))


def _sketch(samples_NF: Floats) -> Floats:
    known = [known_values(samples_N) for samples_N in samples_NF.T]
    return np.array([np.quantile(k, np.linspace(0, 1, QUANTILES)) if len(k) else np.zeros(QUANTILES) for k in known])


def _ranks(sketch_FQ: Floats, distinct_F: NDArray[np.bool_], samples_F: Floats, values_NF: Floats) -> Floats:
    """The share of the reference below each value, ties halved, half a sample away from zero and one."""
    shares_NF = np.empty_like(values_NF)
    levels_Q = np.linspace(0, 1, sketch_FQ.shape[1])
    for f, (sketch_Q, values_N) in enumerate(zip(sketch_FQ, values_NF.T, strict=True)):
        below_N = np.interp(values_N, sketch_Q, levels_Q)
        above_N = 1 - below_N if distinct_F[f] else np.interp(-values_N, -sketch_Q[::-1], levels_Q)
        shares_NF[:, f] = (1 + below_N - above_N) / 2
    half_F = 0.5 / np.maximum(1, samples_F)
    return half_F + (1 - 2 * half_F) * shares_NF
