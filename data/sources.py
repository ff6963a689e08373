"""Where batches come from: files, and inbox folders that hold finished files only."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal, get_args

from data.cuts import cut_csv, cut_parquet
from data.files import write_whole
from data.npz_files import cut_npz

Format = Literal["csv", "csv.gz", "parquet", "npz"]

FORMATS: tuple[Format, ...] = get_args(Format)
SUFFIXES: dict[str, Format] = {".csv": "csv", ".csv.gz": "csv.gz", ".parquet": "parquet", ".npz": "npz"}


@dataclass(frozen=True)
class Arrival:
    """Bytes that arrived together under a name; nothing about them has been checked."""

    name: str
    content: bytes
    format: Format

    @cached_property
    def id(self) -> str:
        """The batch's id: SHA-256 of its content, in hex."""
        return hashlib.sha256(self.content).hexdigest()


def iter_arrivals(sources: Sequence[Path], batch_rows: int | None = None) -> Iterator[Arrival]:
    """The files of all sources, one arrival each; folders in order of file name.

    With `batch_rows` a longer file comes as several arrivals of so many rows, named `file.csv[1]`, `file.csv[2]`, …;
    a file that cannot be cut comes whole, for the reader to say what is wrong with it.

    Raises ValueError, before anything is read, for a source that is not there or is no CSV, Parquet or npz file.
    """
    if batch_rows is not None and batch_rows < 1:
        raise ValueError(f"batch_rows must be at least 1, got {batch_rows}")
    files = [file for source in sources for file in _files(source)]
    return (arrival for file in files for arrival in _cut(read_arrival(file), batch_rows))


def drop_into(inbox: Path, name: str, content: bytes) -> Path:
    """Put a file into an inbox so that a reader sees all of it or nothing: written as `.part`, then renamed.

    Raises ValueError for a name that is a path, is hidden, or has none of the known suffixes.
    """
    if Path(name).name != name or name.startswith(".") or _format(name) is None:
        raise ValueError(f"{name!r} is no name for an inbox: give a plain file name ending in {_known()}")
    write_whole(inbox / name, content)
    return inbox / name


def finished_files(folder: Path) -> list[Path]:
    """The files of a folder that are whole, in order of name: a writer's `.part` and hidden files are not."""
    return sorted(f for f in folder.iterdir() if f.is_file() and not f.name.startswith(".") and _format(f.name))


def _files(source: Path) -> list[Path]:
    if source.is_dir():
        return finished_files(source)
    if not source.exists():
        raise ValueError(f"there is no source {source}: give a file or a folder")
    if _format(source.name) is None:
        raise ValueError(f"cannot read {source}: a source is a folder or a file ending in {_known()}")
    return [source]


def _format(name: str) -> Format | None:
    return next((f for suffix, f in SUFFIXES.items() if name.lower().endswith(suffix)), None)


def _known() -> str:
    return ", ".join(SUFFIXES)


def read_arrival(file: Path) -> Arrival:
    """One file as it lies there; raises ValueError where it is none, or no CSV, Parquet or npz file."""
    form = _format(file.name)
    if form is None:
        raise ValueError(f"cannot read {file}: its name must end in {_known()}")
    try:
        return Arrival(file.name, file.read_bytes(), form)
    except OSError as error:
        raise ValueError(f"cannot read {file}: {error.strerror}") from None


def _cut(arrival: Arrival, batch_rows: int | None) -> Iterator[Arrival]:
    pieces = None if batch_rows is None else _pieces(arrival, batch_rows)
    if pieces is None:
        yield arrival
        return
    form: Format = "csv" if arrival.format == "csv.gz" else arrival.format
    for number, piece in enumerate(pieces, start=1):
        yield Arrival(f"{arrival.name}[{number}]", piece, form)


def _pieces(arrival: Arrival, batch_rows: int) -> Iterator[bytes] | None:
    if arrival.format == "parquet":
        return cut_parquet(arrival.content, batch_rows)
    if arrival.format == "npz":
        return cut_npz(arrival.content, batch_rows)
    return cut_csv(arrival.content, batch_rows, zipped=arrival.format == "csv.gz")
