"""Training data of a synthetic line, as it goes into a search, a training, and on into continuous learning.

Shapes: N rows, B windows, L window length, C sensors.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
import torch

from data.samples import Samples
from data.stream import LineBatch


@dataclass(frozen=True)
class LstmData(Samples):
    """Windows, each with the class of its last row's defect, and all that is known about their rows.

    features: the sensors, in the order of the readings. classes: the labels by class number. frame: the rows as they
    arrived, `time`, sensors and `defect`: what a pipeline reads. truth: what was really so (`data.stream.LineBatch`).
    """

    features: tuple[str, ...]
    classes: tuple[str, ...]
    frame: pl.DataFrame
    truth: pl.DataFrame


def make_lstm_data(batch: LineBatch, length: int, labels: Sequence[str]) -> LstmData:
    """Windows that end at each labelled row of a batch; where a label comes later there is no window yet."""
    features = tuple(column for column in batch.rows.columns if column not in ("time", "defect"))
    classes = tuple(sorted(labels))
    numbers = {label: number for number, label in enumerate(classes)}
    codes_N = batch.rows["defect"].replace_strict(numbers, default=None, return_dtype=pl.Int64)
    ends_B = np.flatnonzero(codes_N.is_not_null().to_numpy())
    ends_B = ends_B[ends_B >= length - 1]
    readings_NC = batch.rows.select(pl.col(features).fill_null(float("nan"))).to_numpy()
    return LstmData(
        torch.from_numpy(np.ascontiguousarray(readings_NC)),
        torch.from_numpy(ends_B - (length - 1)),
        length,
        torch.from_numpy(codes_N.gather(ends_B).to_numpy().copy()),
        torch.full((len(ends_B),), batch.number),
        features,
        classes,
        batch.rows,
        batch.truth,
    )
