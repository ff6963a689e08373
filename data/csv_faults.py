"""What is wrong with a CSV file, said so that whoever delivers it can mend it."""

import csv
import re
from collections import Counter
from io import StringIO

import numpy as np
import polars as pl
from numpy.typing import NDArray

from data.bad_batch import BadBatch
from data.schema import Schema

DECIMAL_COMMA = r"^[+-]?\d+,\d+([eE][+-]?\d+)?$"
INFINITY = r"(?i)^[+-]?inf(inity)?$"


def check_is_table(plain: bytes) -> None:
    """Raise BadBatch where the bytes are empty, a web page, a workbook, or no UTF-8 text."""
    if not plain.strip():
        raise BadBatch("the file is empty")
    start = plain[:1000].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if start.startswith((b"<!doctype", b"<html", b"<?xml", b"<head", b"<body")):
        raise BadBatch("the file is a web page (HTML), not a table: the download ended on a login or error page")
    if plain.startswith(b"PK\x03\x04"):
        raise BadBatch("the file is an Excel workbook or a zip archive, not CSV: export it as CSV")
    if plain.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise BadBatch("the file is UTF-16 text: export it as UTF-8")
    if b"\0" in plain:
        raise BadBatch("the file holds binary data, not CSV text")
    try:
        plain.decode()
    except UnicodeDecodeError as error:
        line = plain[: error.start].count(b"\n") + 1
        raise BadBatch(f"the file is not UTF-8 text (line {line}): export it as UTF-8") from None


def check_field_counts(body: bytes, fields: int) -> None:
    """Raise BadBatch where a row has more or fewer fields than the header."""
    counts = _field_counts(body)
    wrong = np.flatnonzero(counts != fields)
    if not wrong.size:
        return
    row, found = int(wrong[0]) + 1, int(counts[wrong[0]])
    if wrong.size == 1 and row == counts.size and found < fields:
        raise BadBatch(f"the last row ({row}) is cut off: {found} of {fields} fields; the file is not complete")
    usual = Counter(counts.tolist()).most_common(1)[0]
    if usual[0] != fields and usual[1] == counts.size:
        raise BadBatch(_all_rows(fields, usual[0]))
    raise BadBatch(
        f"{wrong.size} of {counts.size} rows have more or fewer fields than the header's {fields}, so their values "
        f"stand in the wrong columns; first row {row} with {found}"
    )


def diagnose(text: pl.DataFrame, numbers: set[str], schema: Schema) -> pl.DataFrame:
    """The frame with numbers parsed after all, blanks around them taken off.

    Raises BadBatch with row, column and value of the first value that is no number, and how many there are.
    """
    texts = [m for m in schema.missing if isinstance(m, str)]
    parsed = {c: _parse(text[c].str.strip_chars(), texts) for c in text.columns if c in numbers}
    faults = {c: fault for c, (_, fault) in parsed.items() if fault.any()}
    if faults:
        raise BadBatch(_describe(text, faults))
    labels = pl.col(pl.String).str.strip_chars().replace(dict.fromkeys(["", *texts]))
    return text.with_columns(values for values, _ in parsed.values()).with_columns(labels)


def _parse(column: pl.Series, texts: list[str]) -> tuple[pl.Series, pl.Series]:
    """The values, and where a text is no number or one beyond float32."""
    known = column.replace(dict.fromkeys(["", *texts]))
    values = known.cast(pl.Float32, strict=False)
    overflow = values.is_infinite().fill_null(False) & ~known.str.contains(INFINITY).fill_null(False)
    return values, (known.is_not_null() & values.is_null()) | overflow


def _describe(text: pl.DataFrame, faults: dict[str, pl.Series]) -> str:
    column, row = min(((c, int(f.arg_max() or 0)) for c, f in faults.items()), key=lambda place: place[1])
    value = str(text[column][row]).strip()
    count = sum(int(f.sum()) for f in faults.values())
    more = f" ({count} such values in {len(faults)} column{'s' if len(faults) > 1 else ''})" if count > 1 else ""
    if re.match(DECIMAL_COMMA, value):
        return f"column {column!r}, row {row + 1}: {value!r} has a decimal comma; write {value.replace(',', '.')}{more}"
    if _is_number(value):
        return f"column {column!r}, row {row + 1}: {value} is too large for a measurement{more}"
    hint = f"; if it means 'no reading', list it under data.missing: [{value}]" if len(value) <= 12 else ""
    return f"column {column!r}, row {row + 1}: {value[:60]!r} is not a number{more}{hint}"


def _is_number(value: str) -> bool:
    try:
        float(value)
    except ValueError:
        return False
    return True


def _all_rows(fields: int, found: int) -> str:
    if found == 2 * fields or found == 2 * fields - 1:
        return (
            f"every row has {found} fields under a header of {fields}: the numbers probably have decimal commas; "
            "write decimal points"
        )
    return f"every row has {found} fields under a header of {fields}: the header does not fit the data"


def _field_counts(body: bytes) -> NDArray[np.int64]:
    """Fields per row; empty lines at the end do not count."""
    body = body.rstrip(b"\r\n")
    if b'"' in body:
        return np.array([len(row) for row in _quoted_rows(body)], dtype=np.int64)
    data = np.frombuffer(body, dtype=np.uint8)
    ends = np.append(np.flatnonzero(data == ord("\n")), data.size)
    commas = np.searchsorted(np.flatnonzero(data == ord(",")), ends)
    return np.diff(commas, prepend=0) + 1


def _quoted_rows(body: bytes) -> list[list[str]]:
    try:
        return list(csv.reader(StringIO(body.decode(), newline="")))
    except csv.Error as error:
        raise BadBatch(f"the file is not readable as CSV: {error}; a quotation mark is probably not closed") from None
