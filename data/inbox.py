"""A pipeline's inbox: a folder where finished files wait, and where those that were taken are kept."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

from data.files import sync_folder
from data.sources import Arrival, finished_files, iter_arrivals

TAKEN = "taken"


def waiting(inbox: Path) -> list[Path]:
    """The finished files that wait, in order of name; none where there is no inbox yet."""
    return finished_files(inbox) if inbox.is_dir() else []


def iter_waiting(inbox: Path, batch_rows: int | None = None) -> Iterator[Arrival]:
    """What the files hold that wait at the moment when it is asked for."""
    for file in waiting(inbox):
        yield from iter_arrivals([file], batch_rows)


def take(file: Path) -> Path:
    """Move a file whose batches are finished into the inbox's folder `taken`; returns where it lies.

    A file of the same name that was taken before stays: the new one's name gets a part of its content's SHA-256.
    """
    folder = file.parent / TAKEN
    folder.mkdir(exist_ok=True)
    target = folder / file.name
    if target.exists():
        target = folder / f"{hashlib.sha256(file.read_bytes()).hexdigest()[:12]}-{file.name}"
    file.rename(target)
    for changed in (folder, file.parent):
        sync_folder(changed)
    return target
