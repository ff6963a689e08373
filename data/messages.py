"""Messages of a stream: each knows its place, and what it says becomes rows."""

import csv
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from io import StringIO
from math import isfinite
from typing import Any

Cell = str | int | float | bool | None
Row = dict[str, Cell]

LONGEST_TEXT = 10_000


class PoisonError(ValueError):
    """A message that no row, or no file, can be made of."""


@dataclass(frozen=True)
class Message:
    """One message, by its place in the stream; name: what a file in it is called."""

    topic: str
    partition: int
    offset: int
    value: bytes
    name: str | None = None

    @property
    def origin(self) -> str:
        """Its place in one text."""
        return f"{self.topic}/{self.partition}/{self.offset}"


Reader = Callable[[Message], list[Row]]
"""The rows of a message; raises PoisonError where there are none."""


def read_json(message: Message) -> list[Row]:
    """The row of a message that holds one JSON object of names and plain values."""
    try:
        document = json.loads(message.value, parse_constant=_refuse_constant, object_pairs_hook=_without_doubles)
    except (ValueError, RecursionError) as error:
        raise PoisonError(f"it is not JSON: {error}"[:200]) from None
    if not isinstance(document, dict) or not document:
        raise PoisonError("it is not a JSON object with a row's columns")
    for name, value in document.items():
        _check_text(name, name)
        if isinstance(value, str):
            _check_text(name, value)
        if not (value is None or isinstance(value, str | int | float)):
            raise PoisonError(f"the column {name[:50]!r} holds {type(value).__name__}, not a plain value")
        if isinstance(value, int | float) and not _finite(value):
            raise PoisonError(f"the column {name[:50]!r} holds a number that is not finite")
    return [document]


def csv_reader(columns: Sequence[str]) -> Reader:
    """Reads messages of one or more lines of comma-separated cells; a first line that repeats the columns is left out.

    Raises ValueError for columns that are none.
    """
    if not columns or len({*columns}) < len(columns) or not all(columns):
        raise ValueError(f"columns: expected names, each once, got {', '.join(columns) or 'none'}")

    def read_csv(message: Message) -> list[Row]:
        try:
            text = message.value.decode("utf-8-sig")
            lines = [line for line in csv.reader(StringIO(text), strict=True, skipinitialspace=True) if line]
        except (UnicodeDecodeError, csv.Error) as error:
            raise PoisonError(f"it is no CSV: {error}"[:200]) from None
        if lines and [cell.strip() for cell in lines[0]] == [*columns]:
            lines = lines[1:]
        if not lines:
            raise PoisonError("it holds no row")
        return [_row(columns, line) for line in lines]

    return read_csv


def _row(columns: Sequence[str], cells: Sequence[str]) -> Row:
    if len(cells) != len(columns):
        raise PoisonError(f"it has {len(cells)} cells where there are the {len(columns)} columns {', '.join(columns)}")
    return {name: _cell(name, text.strip()) for name, text in zip(columns, cells, strict=True)}


def _cell(name: str, text: str) -> Cell:
    """A number where the text is one; empty is a missing value."""
    if not text:
        return None
    _check_text(name, text)
    try:
        number = float(text) if "_" not in text else None
    except ValueError:
        number = None
    if number is None:
        return text
    if not isfinite(number):
        raise PoisonError(f"the column {name[:50]!r} holds {text[:50]!r}, which is no finite number")
    return int(text) if text.lstrip("+-").isascii() and text.lstrip("+-").isdecimal() else number


def _check_text(column: str, text: str) -> None:
    if len(text) > LONGEST_TEXT:
        raise PoisonError(f"the column {column[:50]!r} holds a text of {len(text):,} characters")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise PoisonError(f"the column {column[:50]!r} holds a character that is half of one") from None


def _without_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    document = dict(pairs)
    if len(document) < len(pairs):
        raise ValueError("it names a column more than once")
    return document


def _finite(value: float) -> bool:
    try:
        return isfinite(value)
    except OverflowError:  # an integer beyond float64
        return False


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is no number")
