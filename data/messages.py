"""Messages of a stream as rows of a batch: each knows its place, so that none is taken twice."""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from math import isfinite
from pathlib import Path
from typing import Any

import polars as pl
from filelock import FileLock

from data.files import write_whole
from data.inbox import TAKEN

ORIGIN = "lehr.origin"
"""A file's note of where its rows come from; it also makes files of equal rows differ, so that none is a duplicate."""

Cell = str | int | float | bool | None

_FILE = re.compile(r"[0-9TZ.]+-(?P<topic>.+)-(?P<partition>[0-9]{6})-[0-9]{20}-(?P<last>[0-9]{20})\.parquet")


class PoisonError(ValueError):
    """A message that no row can be made of."""


@dataclass(frozen=True)
class Message:
    """One message, by its place in the stream."""

    topic: str
    partition: int
    offset: int
    value: bytes

    @property
    def origin(self) -> str:
        """Its place in one text."""
        return f"{self.topic}/{self.partition}/{self.offset}"


def row_of(message: Message) -> dict[str, Cell]:
    """The row of a message that holds one JSON object of names and plain values; raises PoisonError for another."""
    try:
        document = json.loads(message.value, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise PoisonError(f"it is not JSON: {error}"[:200]) from None
    if not isinstance(document, dict) or not document:
        raise PoisonError("it is not a JSON object with a row's columns")
    for name, value in document.items():
        if not (value is None or isinstance(value, str | int | float)):
            raise PoisonError(f"the column {name[:50]!r} holds {type(value).__name__}, not a plain value")
        if isinstance(value, int | float) and not isfinite(value):
            raise PoisonError(f"the column {name[:50]!r} holds a number that is not finite")
    return document


def write_batch(inbox: Path, rows: Sequence[tuple[Message, dict[str, Cell]]], stamp: str) -> int:
    """Put rows of one partition, in order, into an inbox as one file, without those that are there already.

    stamp: when, for the order of files. Returns how many rows were new; they are on disk.
    """
    if not rows:
        return 0
    topic, partition = rows[0][0].topic, rows[0][0].partition
    inbox.mkdir(parents=True, exist_ok=True)
    with FileLock(inbox / f".{topic}-{partition}.lock"):
        known = last_offset(inbox, topic, partition)
        new = [(message, row) for message, row in rows if message.offset > known]
        if new:
            first, last = new[0][0].offset, new[-1][0].offset
            name = f"{stamp}-{topic}-{partition:06}-{first:020}-{last:020}.parquet"
            write_whole(inbox / name, _parquet(new))
        return len(new)


def last_offset(inbox: Path, topic: str, partition: int) -> int:
    """The last message of a partition that is in the inbox, or was taken from it; −1 before any."""
    names = (path.name for folder in (inbox, inbox / TAKEN) if folder.is_dir() for path in folder.iterdir())
    found = (match for match in map(_FILE.fullmatch, names) if match and match["topic"] == topic)
    return max((int(match["last"]) for match in found if int(match["partition"]) == partition), default=-1)


def _parquet(rows: Sequence[tuple[Message, dict[str, Cell]]]) -> bytes:
    columns = list(dict.fromkeys(name for _, row in rows for name in row))
    frame = pl.DataFrame([_column(name, [row.get(name) for _, row in rows]) for name in columns])
    buffer = BytesIO()
    frame.write_parquet(buffer, metadata={ORIGIN: f"{rows[0][0].origin} to {rows[-1][0].offset}"})
    return buffer.getvalue()


def _column(name: str, values: list[Cell]) -> pl.Series:
    """Numbers where all are, text where any is: what the pipeline makes of it is for its schema to say."""
    if any(isinstance(value, str) for value in values):
        return pl.Series(name, [None if value is None else _text(value) for value in values], pl.String)
    numbers = [None if value is None else float(value) for value in values]
    whole = all(value is None or isinstance(value, int) for value in values)
    exact = whole and all(value is None or abs(value) < 2**53 for value in numbers)
    return pl.Series(name, numbers, pl.Float64).cast(pl.Int64 if exact else pl.Float64)


def _text(value: Cell) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is no number")
