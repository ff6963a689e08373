"""The file of a node that takes part from elsewhere; read where little else is to be imported."""

from pathlib import Path
from typing import Self

from pydantic import Field

from data.config import Config, DataConfig, Task
from data.documents import load_document


class NodeFile(Config):
    """A node's own file. federation: its name at the coordinator. source: a file or a folder, as seen from here."""

    federation: str = Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$")
    source: str
    data: DataConfig
    task: Task | None = None

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read a node's file; raises ValueError that names every mistake with its key's path."""
        return load_document(cls, path, "node file")
