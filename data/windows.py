"""Samples from stored rows: windows that end at each labelled row.

Shapes: N rows, B samples, L window length, C features.
"""

from collections.abc import Sequence

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray

from data.samples import Samples
from data.schema import Schema

UNKNOWN = -1
"""The class number of a label that a network does not know."""


def make_samples(
    frame: pl.DataFrame,
    schema: Schema,
    length: int,
    classes: Sequence[str] | None,
    keep_unknown: bool = False,
    keep_unlabelled: bool = False,
) -> Samples:
    """Windows of `length` rows that end at each labelled row of a frame from the feature store.

    No window crosses a batch, a group, a split or a gap in the rows of a file. Missing readings are NaN. A sample's
    batch is the number that brought its label (`FeatureStore.read_labelled`).
    classes: labels by class number; None for regression. keep_unknown: a label that is none of them becomes −1, to be
    counted as wrong, instead of being left out. keep_unlabelled: windows end at every row; without a label the target
    is −1, or NaN.
    """
    rows_NC = torch.from_numpy(frame.select(schema.features).fill_null(float("nan")).to_numpy().astype(np.float32))
    targets_N, labelled_N = _targets(frame[schema.target], classes, keep_unknown)
    ends_B = np.flatnonzero((labelled_N | keep_unlabelled) & (_run_lengths(frame, schema) >= length))
    number = "lehr_labelled" if "lehr_labelled" in frame.columns else "lehr_batch"
    return Samples(
        rows_NC.contiguous(),
        torch.from_numpy(ends_B - (length - 1)),
        length,
        torch.from_numpy(targets_N[ends_B]),
        torch.from_numpy(frame[number].to_numpy().astype(np.int64)[ends_B]),
    )


def last_rows(samples: Samples) -> NDArray[np.float32]:
    """The row that each window ends with, (B, C)."""
    return samples.rows_NC[samples.starts_B + samples.length - 1].numpy()


def classes_of(frame: pl.DataFrame, schema: Schema) -> list[str] | None:
    """The labels that occur, sorted; None for regression."""
    if schema.task == "regression":
        return None
    return sorted(frame[schema.target].drop_nulls().unique().to_list())


def _targets(
    column: pl.Series, classes: Sequence[str] | None, keep_unknown: bool
) -> tuple[NDArray[np.generic], NDArray[np.bool_]]:
    if classes is None:
        values_N = column.fill_null(float("nan")).to_numpy().astype(np.float32)
        return values_N, ~np.isnan(values_N)
    numbers = {label: number for number, label in enumerate(classes)}
    numbers_N = column.replace_strict(numbers, default=UNKNOWN, return_dtype=pl.Int64).to_numpy()
    labelled_N = column.is_not_null().to_numpy()
    return numbers_N, labelled_N & (keep_unknown | (numbers_N != UNKNOWN))


def _run_lengths(frame: pl.DataFrame, schema: Schema) -> NDArray[np.int64]:
    """For each row, how many rows of its unbroken run end with it."""
    keys = ["lehr_batch", "lehr_split", *([] if schema.group is None else [schema.group])]
    joins_N = (frame["lehr_row"].diff() == 1).fill_null(False).to_numpy()
    for key in keys:
        joins_N = joins_N & frame[key].eq_missing(frame[key].shift(1)).to_numpy()
    rows_N = np.arange(frame.height)
    return rows_N - np.maximum.accumulate(np.where(joins_N, 0, rows_N)) + 1
