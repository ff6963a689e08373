"""Files that clients sent to train on: kept under the SHA-256 of their content."""

from pathlib import Path

from pydantic import BaseModel, Field

from data.files import sync_folder, write_whole
from data.sources import Arrival, Format


class SentFile(BaseModel):
    """A file that was sent, by the SHA-256 of its content."""

    file_id: str = Field(examples=["9f" * 32])
    name: str = Field(examples=["history.csv"])
    format: Format
    bytes: int
    columns: list[str] = Field(examples=[["furnace_1_c", "defect"]])


def files_folder(home: Path) -> Path:
    """Where they are kept."""
    return home / "files"


def keep(home: Path, sent: SentFile, path: Path) -> None:
    """Take a file that lies in the folder under its own name."""
    folder = files_folder(home)
    path.replace(folder / f"{sent.file_id}.{sent.format}")
    sync_folder(folder)
    write_whole(folder / f"{sent.file_id}.json", sent.model_dump_json().encode())


def find(home: Path, file_id: str) -> SentFile | None:
    """What is known of a file; None where it was never sent, or was removed."""
    try:
        return SentFile.model_validate_json((files_folder(home) / f"{file_id}.json").read_bytes())
    except FileNotFoundError:
        return None


def read(home: Path, file_id: str) -> Arrival:
    """Its bytes; raises ValueError where they are not there."""
    sent, removed = find(home, file_id), ValueError(f"the file {file_id[:12]}… was removed")
    if sent is None:
        raise removed
    try:
        return Arrival(sent.name, (files_folder(home) / f"{file_id}.{sent.format}").read_bytes(), sent.format)
    except FileNotFoundError:
        raise removed from None


def remove(home: Path, sent: SentFile) -> None:
    """Forget a file."""
    for name in (f"{sent.file_id}.json", f"{sent.file_id}.{sent.format}"):
        (files_folder(home) / name).unlink(missing_ok=True)
