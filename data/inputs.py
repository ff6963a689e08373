"""Rows to predict: a file or a frame with the features of a pipeline, with or without its target."""

import polars as pl

from data.readers import BadBatch, read_batch, read_columns, without_missing
from data.schema import Schema
from data.sources import Arrival

ROW = "row"
"""Which row of the input it was, from 1."""


def read_inputs(arrival: Arrival, schema: Schema, length: int) -> pl.DataFrame:
    """A file's rows as `check_inputs` gives them; raises ValueError that names the file and what is wrong in it."""
    try:
        frame = read_batch(arrival, schema.of_inputs(read_columns(arrival)))
    except BadBatch as bad:
        raise ValueError(f"{arrival.name}: {bad.reason}") from None
    return check_inputs(frame, schema, length)


def check_inputs(frame: pl.DataFrame, schema: Schema, length: int) -> pl.DataFrame:
    """The features as Float32 with nulls where a reading is missing, group and timestamp where they are given, `row`.

    Columns may come in any order; others are left out. Rows of one group come together, so that windows can follow
    them. Raises ValueError for missing columns, for what is no number, and for fewer rows than one window.
    """
    needed = [*schema.features, *([schema.group] if schema.group is not None and length > 1 else [])]
    absent = [column for column in needed if column not in frame.columns]
    if absent:
        said = ", ".join(map(repr, absent))
        raise ValueError(f"missing {said}; needed are {', '.join(needed)}; given are {', '.join(frame.columns)}")
    if frame.height < length:
        raise ValueError(f"{frame.height} rows are fewer than one window of {length}")
    given = [c for c in (schema.group, schema.timestamp) if c is not None and c in frame.columns]
    numbers = [_numbers(frame[feature]) for feature in schema.features]
    inputs = pl.DataFrame([*numbers, *(frame[c] for c in given)])
    inputs = inputs.with_columns(without_missing(pl.col(schema.features), schema)).with_row_index(ROW, offset=1)
    return inputs if schema.group not in given else inputs.sort(schema.group, maintain_order=True)


def _numbers(column: pl.Series) -> pl.Series:
    try:
        if not (column.dtype.is_numeric() or column.dtype == pl.Null):
            raise ValueError
        numbers = column.cast(pl.Float32)
    except (ValueError, pl.exceptions.PolarsError):
        shown = repr(next((value for value in column if value is not None), None))
        raise ValueError(f"{column.name} must hold numbers, got {column.dtype} such as {shown[:40]}") from None
    if numbers.is_infinite().any():
        row = int(numbers.is_infinite().arg_max() or 0)
        raise ValueError(f"{column.name} must hold finite numbers in float32, got {column[row]} in row {row + 1}")
    return numbers
