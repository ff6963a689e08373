"""One batch in numbers: levels, relations, slow moves, and how long readings stand still.

Shapes: N rows, F features, B blocks.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

BLOCKS = 8
LEAST_BLOCK = 4


@dataclass(frozen=True)
class BatchSketch:
    """One batch in numbers.

    within_FF: covariance of its rows. slow_FF: covariance of its block means times a block's rows: divided by rows it
    is the covariance of a mean, whatever the autocorrelation. low_F, high_F: quantiles at .5 and 99.5 %.
    longest_F: the longest run of one reading; repeats_F: readings equal to the one before; distinct_F: how many
    different readings; step_F: the largest difference of neighbours.
    """

    values_NF: Floats
    rows: int
    known_F: Floats
    mean_F: Floats
    within_FF: Floats
    slow_FF: Floats
    slow_freedom: float
    low_F: Floats
    high_F: Floats
    longest_F: Floats
    repeats_F: Floats
    distinct_F: Floats


def sketch_batch(values_NF: Floats) -> BatchSketch:
    """Sketch readings in order of time, NaN where one is missing."""
    rows, features = values_NF.shape
    known_NF = np.isfinite(values_NF)
    known_F = known_NF.sum(0).astype(np.float64)
    mean_F = np.where(known_NF, values_NF, 0).sum(0) / np.maximum(1, known_F)
    centred_NF = np.where(known_NF, values_NF - mean_F, 0.0)
    scaled_NF = centred_NF / np.sqrt(np.maximum(1, known_F))
    blocks = max(2, min(BLOCKS, rows // LEAST_BLOCK))
    parts = np.array_split(np.arange(rows), blocks)
    counts_BF = np.array([known_NF[part].sum(0) for part in parts])
    sums_BF = np.array([centred_NF[part].sum(0) for part in parts])
    weighted_BF = sums_BF / np.sqrt(np.maximum(1, counts_BF))
    quantiles = np.array([_quantiles(values_NF[known_NF[:, f], f]) for f in range(features)])
    runs_NF = run_lengths(values_NF)
    return BatchSketch(
        values_NF=values_NF,
        rows=rows,
        known_F=known_F,
        mean_F=mean_F,
        within_FF=scaled_NF.T @ scaled_NF,
        slow_FF=weighted_BF.T @ weighted_BF / (blocks - 1),
        slow_freedom=float(blocks - 1),
        low_F=quantiles[:, 0],
        high_F=quantiles[:, 1],
        longest_F=runs_NF.max(0).astype(np.float64),
        repeats_F=(np.maximum(0, runs_NF - 1) / np.maximum(1, runs_NF)).sum(0),
        distinct_F=np.array([len(np.unique(values_NF[known_NF[:, f], f])) for f in range(features)], dtype=np.float64),
    )


def _quantiles(known_N: Floats) -> Floats:
    return np.quantile(known_N, [0.005, 0.995]) if len(known_N) else np.zeros(2)


def run_lengths(values_NF: Floats) -> Floats:
    """How long the run of one reading is that each belongs to, (N, F); a missing reading, whose run is 0, ends none."""
    lengths_NF = np.zeros_like(values_NF)
    for values_N, lengths_N in zip(values_NF.T, lengths_NF.T, strict=True):
        known_N = np.isfinite(values_N)
        if known_N.any():
            starts = np.flatnonzero(np.append(True, np.diff(values_N[known_N]) != 0))
            runs = np.diff(np.append(starts, known_N.sum()))
            lengths_N[known_N] = np.repeat(runs, runs)
    return lengths_NF


def row_patterns(flags_NF: NDArray[np.bool_]) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
    """The patterns that the rows show, in order, (P, F), and the number of each row's, (N,).

    As `np.unique` over the first axis, by sorting 64 flags of a row as one number.
    """
    kind_N = np.zeros(len(flags_NF), dtype=np.int64)
    for first in range(0, flags_NF.shape[1], 64):
        bytes_NB = np.zeros((len(flags_NF), 8), dtype=np.uint8)
        packed_NB = np.packbits(flags_NF[:, first : first + 64], axis=1)
        bytes_NB[:, : packed_NB.shape[1]] = packed_NB
        words_W, word_N = np.unique(bytes_NB.view(">u8").ravel().astype(np.uint64), return_inverse=True)
        kind_N = np.unique(kind_N * len(words_W) + word_N, return_inverse=True)[1]
    return flags_NF[np.unique(kind_N, return_index=True)[1]], kind_N
