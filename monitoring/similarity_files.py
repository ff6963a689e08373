"""What an index of embeddings is made of: blocks that are written once, and a manifest that names them.

A block is two files, `vectors-000001.npy` and `names-000001.arrow`. It is on disk before the manifest names it, and the
manifest is replaced in one step: who is killed while writing leaves the old index whole, and files that no manifest
names, which the next block takes the place of.

Shapes: N embeddings, E numbers of an embedding.
"""

import hashlib
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from itertools import accumulate
from pathlib import Path
from typing import Literal

import numpy as np
import polars as pl
from filelock import FileLock, Timeout
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, ValidationError

from data.files import write_whole

MANIFEST, LOCK = "index.json", "lock"
WAIT_SECONDS = 60.0

Texts = NDArray[np.str_]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class SealedFile(_Part):
    """A file of the folder with what it held when it was written."""

    name: str
    bytes: int
    sha256: str


class Block(_Part):
    """Embeddings that were added together; source: the SHA-256 of what they are the embeddings of."""

    count: int
    source: str
    vectors: SealedFile
    names: SealedFile


class Approximate(_Part):
    """faiss's index of the first `count` embeddings; recall: at 10, as measured when it was built."""

    file: SealedFile
    count: int
    probes: int
    recall: float


class Manifest(_Part):
    """The blocks of an index in order; model: the SHA-256 of the model file that all embeddings are by."""

    format: Literal[1] = 1
    model: str
    dimensions: int
    blocks: tuple[Block, ...]
    approximate: Approximate | None = None

    @property
    def count(self) -> int:
        """How many embeddings the index holds."""
        return sum(block.count for block in self.blocks)

    @property
    def starts(self) -> list[int]:
        """The place of each block's first embedding."""
        return list(accumulate((block.count for block in self.blocks[:-1]), initial=0))

    @property
    def files(self) -> list[SealedFile]:
        """All files that the manifest names."""
        found = [file for block in self.blocks for file in (block.vectors, block.names)]
        return found if self.approximate is None else [*found, self.approximate.file]


@dataclass(frozen=True)
class Embedded:
    """Embeddings to add: float32 (N, E) of length one, and of each signal its id, element and session.

    source: the SHA-256 of what they are the embeddings of; the same source is added once.
    """

    embeddings_NE: NDArray[np.float32]
    ids: Sequence[str] | Texts
    elements: Sequence[str] | Texts
    sessions: Sequence[str] | Texts
    source: str

    def __post_init__(self) -> None:
        counts = {len(column) for column in (self.embeddings_NE, self.ids, self.elements, self.sessions)}
        if len(counts) != 1:
            raise ValueError(f"embeddings, ids, elements and sessions must be as many, got {sorted(counts)}")


def read_manifest(folder: Path) -> Manifest:
    """The manifest of an index. Raises ValueError where there is none, or a file it names is missing or cut."""
    path = folder / MANIFEST
    try:
        manifest = Manifest.model_validate_json(path.read_bytes())
    except OSError as error:
        raise ValueError(f"{folder} is no index of signals: {MANIFEST}: {error.strerror}") from None
    except ValidationError as error:
        raise ValueError(f"{path} is not a manifest of an index: {error.errors()[0]['msg']}") from None
    for file in manifest.files:
        size = (folder / file.name).stat().st_size if (folder / file.name).is_file() else -1
        if size != file.bytes:
            found = "is missing" if size < 0 else f"has {size} bytes"
            raise ValueError(f"{folder / file.name} {found}; the index was written with {file.bytes}")
    return manifest


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Make these files the index, in one step."""
    write_whole(folder / MANIFEST, manifest.model_dump_json(indent=2).encode())


def write_block(folder: Path, number: int, added: Embedded) -> Block:
    """Bring a block's files to disk; until a manifest names them they are nobody's."""
    vectors, names = BytesIO(), BytesIO()
    np.save(vectors, np.ascontiguousarray(added.embeddings_NE))
    columns = {"id": added.ids, "element": added.elements, "session": added.sessions}
    texts = {name: [str(value) for value in values] for name, values in columns.items()}
    pl.DataFrame(texts, schema=dict.fromkeys(columns, pl.String)).write_ipc(names)
    return Block(
        count=len(added.embeddings_NE),
        source=added.source,
        vectors=write_sealed(folder / f"vectors-{number:06}.npy", vectors.getvalue()),
        names=write_sealed(folder / f"names-{number:06}.arrow", names.getvalue()),
    )


def write_beside(folder: Path, files: Mapping[str, bytes | None]) -> None:
    """Write these files of a new index by their names; of None it has none."""
    for name, content in files.items():
        if content is None:
            (folder / name).unlink(missing_ok=True)
        else:
            write_whole(folder / name, content)


def write_sealed(path: Path, content: bytes) -> SealedFile:
    """Write a file that is whole or not there, with its seal."""
    write_whole(path, content)
    return SealedFile(name=path.name, bytes=len(content), sha256=hashlib.sha256(content).hexdigest())


@contextmanager
def writing(folder: Path) -> Generator[None]:
    """One process at a time writes; raises ValueError where another does for longer than a minute."""
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(folder / LOCK, timeout=WAIT_SECONDS):
            yield
    except Timeout:
        raise ValueError(f"another process has been writing to {folder} for {WAIT_SECONDS:g} s") from None
