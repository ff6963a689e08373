"""Reading a delivered file against the declared schema: what does not fit is refused with a reason."""

from collections import Counter
from collections.abc import Sequence

import polars as pl

from data.bad_batch import BadBatch
from data.csv_files import csv_columns, read_csv
from data.parquet_files import parquet_columns, read_parquet
from data.schema import Schema
from data.sources import Arrival
from data.timestamps import parse_timestamps

__all__ = ["BadBatch", "read_batch", "read_columns", "without_missing"]


def read_columns(arrival: Arrival) -> list[str]:
    """The file's column names in order, without blanks around them; columns without a name are left out.

    Raises BadBatch where the file is empty, cut off, no table at all, or names a column twice.
    """
    if arrival.format == "npz":
        raise BadBatch(
            "an npz file holds signals, which a pipeline with task: representation reads; this one reads rows"
        )
    names = parquet_columns(arrival.content) if arrival.format == "parquet" else csv_columns(arrival)
    columns = [name for name in names if name]
    twice = [name for name, count in Counter(columns).items() if count > 1]
    if twice:
        raise BadBatch(f"the file names {_listed(twice)} more than once, so it is not clear which column is meant")
    return columns


def read_batch(arrival: Arrival, schema: Schema) -> pl.DataFrame:
    """The batch as one frame of the schema's columns, rows in the file's order; other columns are ignored.

    Features and a regression target are Float32, labels, group and key String, the timestamp Datetime("us"); empty
    values, NaN and the schema's `missing` values are null, and with a key so is a target that the file does not have.
    Raises BadBatch with the reason where anything would have to be guessed: a missing column, text in a number, a
    number beyond float32, rows of unequal length, a broken file.
    """
    columns = read_columns(arrival)
    optional = schema.target if schema.key else None
    absent = [c for c in schema.columns if c not in columns and c != optional]
    if absent:
        raise BadBatch(_absence(absent, columns))
    read = read_parquet(arrival.content, schema) if arrival.format == "parquet" else read_csv(arrival, schema)
    if read.height == 0:
        raise BadBatch("the file has a header but no rows")
    return _canonical(read, schema)


def _absence(absent: Sequence[str], columns: Sequence[str]) -> str:
    if len(columns) == 1 and any(mark in columns[0] for mark in ";\t|"):
        return f"the columns must be separated by commas; the header reads {columns[0][:80]!r}"
    noun = "column" if len(absent) == 1 else f"{len(absent)} columns"
    return f"missing {noun} {_listed(absent)}; the file has {_listed(columns)}"


def _listed(names: Sequence[str], most: int = 8) -> str:
    shown = ", ".join(repr(n) for n in names[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"


def _canonical(read: pl.DataFrame, schema: Schema) -> pl.DataFrame:
    if schema.target not in read.columns:
        read = read.with_columns(pl.lit(None, schema.label_type).alias(schema.target))
    numbers = [*schema.features, *([schema.target] if schema.task == "regression" else [])]
    frame = read.with_columns(without_missing(pl.col(numbers), schema))
    frame = frame.with_columns(_whole(c) for c in schema.key if c != schema.timestamp)
    if schema.task == "classification":
        label = _whole(schema.target)
        frame = frame.with_columns(
            pl.when(label.is_in(_texts(schema))).then(None).otherwise(label).alias(schema.target)
        )
    if schema.timestamp is not None:
        frame = frame.with_columns(parse_timestamps(frame[schema.timestamp]))
    return frame.select(schema.columns)


def _whole(column: str) -> pl.Expr:
    """Text that names a class or a row: 1.0, beside an empty value, is 1."""
    return pl.col(column).str.replace(r"^(-?\d+)\.0+$", "$1")


def without_missing(numbers: pl.Expr, schema: Schema) -> pl.Expr:
    """Columns of numbers with null for NaN and for the schema's `missing` values."""
    sentinels = [float(m) for m in schema.missing if not isinstance(m, str)]
    filled = numbers.fill_nan(None)
    if not sentinels:
        return filled
    listed = pl.Series(sentinels, dtype=pl.Float32)
    return pl.when(filled.is_in(listed.implode())).then(None).otherwise(filled).name.keep()


def _texts(schema: Schema) -> list[str]:
    """How a label that means 'missing' may be written: -200.0 is also the text -200."""
    return [m if isinstance(m, str) else f"{m:g}" for m in schema.missing]
