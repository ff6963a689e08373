"""Which rows of a batch are learned from, and which are held out to judge.

Shapes: N rows of one batch, in order of time.
"""

import numpy as np
import polars as pl
from numpy.typing import NDArray

from data.config import DataConfig

MOST_BLOCKS = 5
LEAST_HOLDOUT = 5

Split = NDArray[np.str_]


def mark_rows(rows: pl.DataFrame, config: DataConfig, number: int) -> pl.DataFrame:
    """A batch's sound rows as the feature store holds them: with its number and the part that each row plays."""
    split = pl.Series("lehr_split", split_rows(rows.height, config, seed=number))
    return rows.with_columns(pl.lit(number, pl.Int32).alias("lehr_batch"), split)


def split_rows(rows: int, config: DataConfig, seed: int) -> Split:
    """Mark each row `train`, `holdout` or `purge`.

    Rows in order of time are held out in a few blocks spread over the batch, the last at its end; between a block and
    the rows learned from lies a purge as long as the window and the label's horizon, so that no training window shares
    a row with a hold-out window. Every block holds at least five windows, if need be in more than `holdout.max_rows`
    rows. Rows without order are drawn at random by the seed. A batch too small to hold out five windows beside their
    purges is all training.
    """
    split_N = np.full(rows, "train", dtype="<U7")
    wanted = min(round(rows * config.holdout.share), config.holdout.max_rows)
    if wanted < LEAST_HOLDOUT:
        return split_N
    if config.order == "none" and config.window.length == 1:
        split_N[np.random.default_rng(seed).permutation(rows)[:wanted]] = "holdout"
        return split_N
    least = config.window.length - 1 + LEAST_HOLDOUT
    return _split_blocks(split_N, max(wanted, least), least, config.window.length - 1 + config.horizon)


def _split_blocks(split_N: Split, wanted: int, least: int, purge: int) -> Split:
    rows = len(split_N)
    blocks = min(MOST_BLOCKS, wanted // least)
    while blocks > 1 and (2 * blocks - 1) * purge > wanted:
        blocks -= 1
    if wanted + (2 * blocks - 1) * purge > rows // 2:
        return split_N
    ends = np.round(np.arange(1, blocks + 1) * rows / blocks).astype(int)
    for end, size in zip(ends, _even_parts(wanted, blocks), strict=True):
        split_N[max(0, end - size - purge) : end + purge] = "purge"
    for end, size in zip(ends, _even_parts(wanted, blocks), strict=True):
        split_N[end - size : end] = "holdout"
    return split_N


def _even_parts(total: int, parts: int) -> list[int]:
    return [total // parts + (i < total % parts) for i in range(parts)]
