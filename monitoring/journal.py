"""An append-only journal that a killed process loses nothing of: what `append` took is there for the next one.

A record goes into memory that is the file's own (a shared mapping), so a call costs microseconds and a SIGKILL loses
nothing; `sync` waits for the disk, in groups, so a power cut loses no more than the latest group. Each line is a
checksum and JSON: one that a kill cut short is not a record.
"""

import fcntl
import json
import mmap
import os
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

GROWTH = 1 << 16


class Journal:
    """One writer's journal at `path`; the records that are there already stay.

    Raises BlockingIOError where another process has it open.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._file)
            raise
        content = path.read_bytes()
        self._end = sum(len(line) for line, _ in _whole_lines(content))
        os.ftruncate(self._file, self._end)  # a line that was cut short, and zeros
        self._map: mmap.mmap | None = None

    def append(self, record: Any) -> int:
        """Write one record; returns the place behind it. Raises OSError, and writes nothing, where there is no room."""
        line = _line(record)
        if self._map is None or self._end + len(line) > len(self._map):
            self._grow(self._end + len(line))
        assert self._map is not None
        self._map[self._end : self._end + len(line)] = line
        self._end += len(line)
        return self._end

    def sync(self) -> None:
        """Wait until all that was appended is on the disk."""
        os.fsync(self._file)

    def close(self) -> None:
        """Wait for the disk and let others have it."""
        if self._map is not None:
            self._map.close()
        os.ftruncate(self._file, self._end)
        os.fsync(self._file)
        os.close(self._file)

    def _grow(self, needed: int) -> None:
        """Take room on the disk before it is mapped: memory without any behind it ends the process by SIGBUS."""
        capacity = (needed // GROWTH + 1) * GROWTH
        os.posix_fallocate(self._file, 0, capacity)
        grown = mmap.mmap(self._file, capacity)
        if self._map is not None:
            self._map.close()
        self._map = grown


def read_journal(path: Path, start: int = 0) -> Iterator[tuple[int, Any]]:
    """The records behind a place, each with the place behind it; one that is not whole ends them."""
    if not path.exists():
        return
    with path.open("rb") as file:
        file.seek(start)
        content, place = file.read(), start
    for line, record in _whole_lines(content):
        place += len(line)
        yield place, record


def first_record(path: Path) -> Any | None:
    """The first record; None where there is none."""
    with path.open("rb") as file:
        return next((record for _, record in _whole_lines(file.readline())), None)


def _whole_lines(content: bytes) -> Iterator[tuple[bytes, Any]]:
    for line in content.splitlines(keepends=True):
        checksum, _, text = line.partition(b" ")
        if not line.endswith(b"\n") or checksum != _checksum(text):
            return
        yield line, json.loads(text)


def _line(record: Any) -> bytes:
    text = json.dumps(record, allow_nan=True, separators=(",", ":")).encode() + b"\n"
    return _checksum(text) + b" " + text


def _checksum(text: bytes) -> bytes:
    return b"%08x" % zlib.crc32(text)
