"""CSV files: a fast path for clean files, and a slow one that finds out what is wrong."""

import csv
import gzip
import zlib
from collections.abc import Mapping
from io import StringIO

import polars as pl

from data.bad_batch import BadBatch
from data.csv_faults import check_field_counts, check_is_table, diagnose
from data.schema import Schema
from data.sources import Arrival


def csv_columns(arrival: Arrival) -> list[str]:
    """The header's names, an empty text for a column without one; raises BadBatch where the file is no table."""
    header, _ = _split(arrival)
    return header


def read_csv(arrival: Arrival, schema: Schema) -> pl.DataFrame:
    """Those of the schema's columns that the file has: numbers as Float32, all others as String.

    Raises BadBatch for rows of unequal length, text in a number, and numbers too large for float32.
    """
    header, body = _split(arrival)
    if not body.strip():
        raise BadBatch("the file has a header but no rows")
    check_field_counts(body, len(header))
    names = [name if name in schema.columns else f"\0{i}" for i, name in enumerate(header)]
    numbers = {*schema.features, *([schema.target] if schema.task == "regression" else [])} & set(header)
    types = {n: pl.Float32 if n in numbers else pl.String for n in names}
    frame = _read_fast(body, types, schema)
    if frame is None or _holds_infinity(frame, numbers):
        frame = diagnose(_read_text(body, names), numbers, schema)
    return frame.select(c for c in schema.columns if c in header).with_columns(
        pl.col(pl.String).str.strip_chars().replace("", None)
    )


def _split(arrival: Arrival) -> tuple[list[str], bytes]:
    plain = _plain(arrival)
    check_is_table(plain)
    first, _, body = plain.removeprefix(b"\xef\xbb\xbf").replace(b"\r\n", b"\n").lstrip(b"\n").partition(b"\n")
    header = next(csv.reader(StringIO(first.decode())), [])
    return [name.strip() for name in header], body.rstrip(b"\n") + b"\n"


def _plain(arrival: Arrival) -> bytes:
    if arrival.format != "csv.gz":
        return arrival.content
    if not arrival.content:
        raise BadBatch("the file is empty")
    try:
        return gzip.decompress(arrival.content)
    except EOFError:
        raise BadBatch("the gzip file is cut off: its end is missing; deliver it again") from None
    except (OSError, zlib.error):
        raise BadBatch("the file is not a readable gzip file; deliver it again") from None


def _read_fast(body: bytes, types: Mapping[str, type[pl.DataType]], schema: Schema) -> pl.DataFrame | None:
    try:
        return pl.read_csv(body, has_header=False, schema=types, null_values=_texts(schema))
    except pl.exceptions.PolarsError:
        return None


def _read_text(body: bytes, names: list[str]) -> pl.DataFrame:
    try:
        return pl.read_csv(body, has_header=False, schema=dict.fromkeys(names, pl.String))
    except pl.exceptions.PolarsError as error:
        raise BadBatch(f"the file is not readable as CSV: {str(error).splitlines()[0]}") from None


def _holds_infinity(frame: pl.DataFrame, numbers: set[str]) -> bool:
    return any(frame[c].is_infinite().any() for c in numbers)


def _texts(schema: Schema) -> list[str]:
    return [m for m in schema.missing if isinstance(m, str)]
