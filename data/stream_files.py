"""What came by a stream as files of an inbox: they say which messages they hold, so that none is taken twice."""

import hashlib
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import polars as pl
from filelock import FileLock

from data.files import write_whole
from data.inbox import TAKEN
from data.messages import Cell, Message, PoisonError, Row
from data.sources import SUFFIXES

ORIGIN = "lehr.origin"
"""A file's note of where its rows come from; it also makes files of equal rows differ, so that none is a duplicate."""
OFFSETS = "lehr.offsets"
"""A file's note of the messages that it holds, where these do not follow one another."""
LONGEST_NAME = 200

_FILE = re.compile(
    r"[0-9TZ.]+-(?P<topic>.+)-(?P<partition>[0-9]{6})-(?P<first>[0-9]{20,39})-(?P<last>[0-9]{20,39})\.parquet"
)
_CONTENT = re.compile(r"[0-9TZ.]+-(?P<sha256>[0-9a-f]{64})\.(csv|csv\.gz|parquet)")


def write_batch(inbox: Path, rows: Sequence[tuple[Message, Row]], stamp: str, in_order: bool = True) -> int:
    """Put rows of one partition into an inbox as one file, without those that are there already.

    stamp: when, for the order of files. in_order: all that came before a message that is there is there as well, or
    was no row. Returns how many rows were new; they are on disk.
    """
    if not rows:
        return 0
    topic, partition = rows[0][0].topic, rows[0][0].partition
    inbox.mkdir(parents=True, exist_ok=True)
    with FileLock(inbox / f".{topic}-{partition}.lock"):
        if in_order:
            known = last_offset(inbox, topic, partition)
            new = [(message, row) for message, row in rows if message.offset > known]
        else:
            there = _offsets_within(inbox, rows[0][0], rows)
            once = {message.offset: message for message, _ in rows}  # a message may have been given twice
            new = [(m, row) for m, row in rows if m.offset not in there and m is once[m.offset]]
            new.sort(key=lambda pair: pair[0].offset)
        if new:
            first, last = new[0][0].offset, new[-1][0].offset
            name = f"{stamp}-{topic}-{partition:06}-{first:020}-{last:020}.parquet"
            write_whole(inbox / name, _parquet(new, in_order))
        return len(new)


def last_offset(inbox: Path, topic: str, partition: int) -> int:
    """The last message of a partition that is in the inbox, or was taken from it; −1 before any."""
    return max((file.last for file in _files(inbox, topic, partition)), default=-1)


def write_file(inbox: Path, message: Message, stamp: str, most_bytes: int) -> bool:
    """Put the file that a message holds into an inbox; whether its content is new there.

    Raises PoisonError for a file that is empty, larger than so many bytes, or not named as a file is.
    """
    size, name = len(message.value), message.name
    if not 0 < size <= most_bytes:
        raise PoisonError(f"it holds {size:,} bytes; a file has 1 to {most_bytes:,}")
    suffix = _suffix_of(message) if name is None else _checked_suffix(name)
    digest = hashlib.sha256(message.value).hexdigest()
    inbox.mkdir(parents=True, exist_ok=True)
    with FileLock(inbox / f".{message.topic}-files.lock"):
        if any((match := _CONTENT.fullmatch(path.name)) and match["sha256"] == digest for path in _paths(inbox)):
            return False
        write_whole(inbox / f"{stamp}-{digest}{suffix}", message.value)
        return True


@dataclass(frozen=True)
class _File:
    path: Path
    first: int
    last: int


def _files(inbox: Path, topic: str, partition: int) -> Iterator[_File]:
    for path in _paths(inbox):
        match = _FILE.fullmatch(path.name)
        if match and match["topic"] == topic and int(match["partition"]) == partition:
            yield _File(path, int(match["first"]), int(match["last"]))


def _paths(inbox: Path) -> Iterator[Path]:
    for folder in (inbox, inbox / TAKEN):
        if folder.is_dir():
            yield from folder.iterdir()


def _offsets_within(inbox: Path, place: Message, rows: Sequence[tuple[Message, Row]]) -> set[int]:
    """The messages that files hold between the first and the last of these."""
    offsets = [message.offset for message, _ in rows]
    found: set[int] = set()
    for file in _files(inbox, place.topic, place.partition):
        if file.first <= max(offsets) and file.last >= min(offsets):
            found.update(json.loads(pl.read_parquet_metadata(file.path)[OFFSETS]))
    return found


def _suffix_of(message: Message) -> str:
    """By how the content begins."""
    if message.value.startswith(b"PAR1"):
        return ".parquet"
    return ".csv.gz" if message.value.startswith(b"\x1f\x8b") else ".csv"


def _checked_suffix(name: str) -> str:
    """A name says what the file is; where it goes is not for it to say."""
    suffix = next((suffix for suffix in SUFFIXES if name.lower().endswith(suffix)), None)
    plain = name.isprintable() and len(name) <= LONGEST_NAME and not name.startswith(".")
    if suffix is None or not plain or "/" in name or "\\" in name:
        raise PoisonError(f"its name is {name[:50]!r}; a plain file name ends in {', '.join(SUFFIXES)}")
    return suffix


def _parquet(rows: Sequence[tuple[Message, Row]], in_order: bool) -> bytes:
    columns = list(dict.fromkeys(name for _, row in rows for name in row))
    frame = pl.DataFrame([_column(name, [row.get(name) for _, row in rows]) for name in columns])
    buffer = BytesIO()
    notes = {ORIGIN: f"{rows[0][0].origin} to {rows[-1][0].offset}"}
    if not in_order:
        notes[OFFSETS] = json.dumps(list(dict.fromkeys(message.offset for message, _ in rows)))
    frame.write_parquet(buffer, metadata=notes)
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
