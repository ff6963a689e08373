"""Files that are whole or not there, and names for them."""

import os
import re
from collections.abc import Generator
from contextlib import contextmanager, suppress
from hashlib import sha256
from pathlib import Path

from filelock import FileLock, Timeout

_PLAIN = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+-]{0,99}")


def write_whole(path: Path, content: bytes) -> None:
    """Write a file so that a reader, or a crash at any moment, finds the old content or the new, never a part.

    The content and the folder's entry are on disk when it returns. Raises OSError that names the file; nothing of what
    could not be written stays.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".part")
    try:
        with partial.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except OSError as error:
        with suppress(OSError):
            partial.unlink()
        raise OSError(error.errno, error.strerror, str(path)) from error
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Bring a folder's entries to disk, so that a rename in it outlives a power cut."""
    sync_file(folder)


def sync_file(path: Path) -> None:
    """Bring to disk what another library wrote into a file."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def alone_in(folder: Path, wait_seconds: float, what: str) -> Generator[Path]:
    """The folder, made where it is not there, for one process at a time.

    Raises ValueError, saying on what, where another is still at work there after so many seconds.
    """
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(folder / "lock", timeout=wait_seconds):
            yield folder
    except Timeout:
        raise ValueError(f"another process is at work on {what}; wait until it has ended") from None


def folder_name(name: str) -> str:
    """A name's folder, which no other name has: the name itself where that can be one, else with a hash behind it."""
    if _PLAIN.fullmatch(name):
        return name
    return f"{re.sub(r'[^A-Za-z0-9_-]', '_', name)[:80]}.{sha256(name.encode()).hexdigest()[:12]}"
