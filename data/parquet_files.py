"""Parquet files: columns of the declared types, nothing coerced in silence."""

from io import BytesIO

import polars as pl

from data.bad_batch import BadBatch
from data.schema import Schema


def parquet_columns(content: bytes) -> list[str]:
    """The column names; raises BadBatch where the file is broken."""
    if not content:
        raise BadBatch("the file is empty")
    try:
        return [name.strip() for name in pl.read_parquet_schema(BytesIO(content))]
    except (pl.exceptions.PolarsError, OSError):
        raise BadBatch(broken_parquet(content)) from None


def read_parquet(content: bytes, schema: Schema) -> pl.DataFrame:
    """Those of the schema's columns that the file has: numbers as Float32, times as they are, all others as String.

    Raises BadBatch where the file is broken, a column has another type, or a number is too large for float32.
    """
    try:
        frame = pl.read_parquet(BytesIO(content))
    except (pl.exceptions.PolarsError, OSError):
        raise BadBatch(broken_parquet(content)) from None
    frame = frame.rename(lambda name: name.strip())
    numbers = {*schema.features, *([schema.target] if schema.task == "regression" else [])}
    return pl.DataFrame(
        [_column(frame[c], c in numbers, c == schema.timestamp) for c in schema.columns if c in frame.columns]
    )


def _column(column: pl.Series, is_number: bool, is_timestamp: bool) -> pl.Series:
    if is_number:
        return _to_float32(column)
    if is_timestamp:
        if column.dtype.is_numeric() or isinstance(column.dtype, pl.Datetime | pl.Date | pl.String):
            return column
        raise BadBatch(f"column {column.name!r} must hold times, not {_kind(column.dtype)}")
    return _to_text(column)


def _to_float32(column: pl.Series) -> pl.Series:
    if column.dtype == pl.Null:
        return column.cast(pl.Float32)
    if not (column.dtype.is_numeric() or column.dtype == pl.Boolean):
        raise BadBatch(f"column {column.name!r} must hold numbers, not {_kind(column.dtype)}")
    wide = column.cast(pl.Float64)
    narrow = wide.cast(pl.Float32)
    too_large = narrow.is_infinite() & wide.is_finite()
    if too_large.any():
        row = int(too_large.arg_max() or 0)
        raise BadBatch(f"column {column.name!r}, row {row + 1}: {wide[row]:g} is too large for a measurement")
    return narrow


def _to_text(column: pl.Series) -> pl.Series:
    if column.dtype.is_float():
        column = column.fill_nan(None)
        whole = column.cast(pl.Int64, strict=False)
        if (whole.cast(column.dtype) == column).all():
            column = whole
    elif column.dtype == pl.Null or column.dtype.is_nested() or column.dtype == pl.Binary:
        if column.dtype == pl.Null:
            return column.cast(pl.String)
        raise BadBatch(f"column {column.name!r} must hold labels, not {_kind(column.dtype)}")
    return column.cast(pl.String).str.strip_chars().replace("", None)


def _kind(dtype: pl.DataType) -> str:
    if isinstance(dtype, pl.String | pl.Categorical | pl.Enum):
        return "text"
    return "times" if dtype.is_temporal() else f"values of type {dtype}"


def broken_parquet(content: bytes) -> str:
    """Why a Parquet file could not be read."""
    if content[:4] == b"PAR1" and content[-4:] != b"PAR1":
        return "the Parquet file is cut off: its end is missing; deliver it again"
    return "the file is not a readable Parquet file; deliver it again"
