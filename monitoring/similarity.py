"""An index of embeddings in a folder, searched for the nearest exactly, by memory-maps.

Shapes: N embeddings, M of one block, Q queries, K neighbours, E numbers of an embedding.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import polars as pl
from numpy.typing import NDArray

from data.changes import Change, sha256_of
from monitoring.similarity_files import (
    MANIFEST,
    Embedded,
    Manifest,
    read_manifest,
    write_beside,
    write_block,
    write_manifest,
    writing,
)

NO_FILES: Mapping[str, bytes | None] = {}
_ROWS_AT_ONCE, _SCORES_AT_ONCE = 2**16, 2**22
_UNIT = 1e-3
_NAMES = {"asked": pl.Int64, "id": pl.String, "element": pl.String, "session": pl.String}

Floats = NDArray[np.float32]
Places = NDArray[np.int64]


@dataclass(frozen=True)
class Neighbours:
    """The nearest of each query, nearest first: places_QK in the index, and Euclidean distances_QK in [0, 2]."""

    places_QK: Places
    distances_QK: NDArray[np.float64]

    def take(self, order_QK: Places) -> "Neighbours":
        """Of each query the neighbours at these places of its row."""
        return Neighbours(
            np.take_along_axis(self.places_QK, order_QK, 1), np.take_along_axis(self.distances_QK, order_QK, 1)
        )


class Search(Protocol):
    """What finds the nearest: `SimilarityIndex` exactly, `monitoring.approximate.ApproximateSearch` nearly so."""

    def nearest(self, queries_QE: Floats, k: int) -> Neighbours: ...


@dataclass(frozen=True)
class SimilarityIndex:
    """An index as it was when it was opened; what is added later is seen by who opens it again.

    parts: the embeddings of each block (M, E), read only as they are searched.
    """

    folder: Path
    manifest: Manifest
    parts: tuple[Floats, ...]

    def __len__(self) -> int:
        return self.manifest.count

    @property
    def model(self) -> str:
        """The SHA-256 of the model file that all embeddings are by."""
        return self.manifest.model

    def nearest(self, queries_QE: Floats, k: int) -> Neighbours:
        """The k nearest of each query, or all where there are fewer.

        queries_QE: of length one, as their distance is found by their dot product. Raises ValueError for others, for
        another size than the index has, and for k < 1.
        """
        self.check_queries(queries_QE, k)
        return self.ranked(queries_QE, self.best(queries_QE, k), k)

    def best(self, queries_QE: Floats, k: int, since: int = 0) -> Places:
        """The places of the k largest dot products among the embeddings from one on, in no order (Q, up to k)."""
        count = len(queries_QE)
        scores_QK, places_QK = np.empty((count, 0), np.float32), np.empty((count, 0), np.int64)
        for start, block_ME in self._blocks(since, max(1, _SCORES_AT_ONCE // max(1, count))):
            scores_QM = queries_QE @ block_ME.T
            near_QK = _largest(scores_QM, k)
            scores_QK = np.concatenate([scores_QK, np.take_along_axis(scores_QM, near_QK, 1)], 1)
            places_QK = np.concatenate([places_QK, near_QK + start], 1)
            kept_QK = _largest(scores_QK, k)
            scores_QK = np.take_along_axis(scores_QK, kept_QK, 1)
            places_QK = np.take_along_axis(places_QK, kept_QK, 1)
        return places_QK

    def ranked(self, queries_QE: Floats, places_QK: Places, k: int) -> Neighbours:
        """The k nearest of these places of each query, by distances in full precision; no place: −1, infinitely far."""
        differences_QKE = self.vectors(places_QK).astype(np.float64) - queries_QE[:, None]
        distances_QK = np.where(places_QK < 0, np.inf, np.sqrt(np.square(differences_QKE).sum(2)))
        return Neighbours(places_QK, distances_QK).take(np.lexsort((places_QK, distances_QK))[:, :k])

    def vectors(self, places: Places) -> Floats:
        """The embeddings at these places, in their shape and E, 0 where there is none; only these are read."""
        flat, found = places.ravel(), np.zeros((places.size, self.manifest.dimensions), np.float32)
        for start, part_ME in zip(self.manifest.starts, self.parts, strict=True):
            here = (flat >= start) & (flat < start + len(part_ME))
            found[here] = part_ME[flat[here] - start]
        return found.reshape(*places.shape, -1)

    def names(self, places: Sequence[int] | Places) -> pl.DataFrame:
        """Id, element and session of the embeddings at these places, in their order; ValueError where there is none."""
        asked, found = np.asarray(places, np.int64), [pl.DataFrame(schema=_NAMES)]
        if (outside := (asked < 0) | (asked >= len(self))).any():
            raise ValueError(f"the index has no place {asked[outside][0]}; allowed is 0 to {len(self) - 1}")
        for start, block in zip(self.manifest.starts, self.manifest.blocks, strict=True):
            here = np.flatnonzero((asked >= start) & (asked < start + block.count))
            if len(here):
                named = pl.read_ipc(self.folder / block.names.name)[asked[here] - start]
                found.append(named.insert_column(0, pl.Series("asked", here)))
        return pl.concat(found).sort("asked").drop("asked")

    def place_of(self, source: str) -> int | None:
        """Where the embeddings of a source begin; None where it was never added."""
        starts = zip(self.manifest.starts, self.manifest.blocks, strict=True)
        return next((start for start, block in starts if block.source == source), None)

    def changes(self) -> list[Change]:
        """Files that are not as they were written; this reads them all."""
        found = [(self.folder / file.name, file.sha256) for file in self.manifest.files]
        return [
            Change(str(path), "was changed since it was written") for path, seal in found if sha256_of(path) != seal
        ]

    def check_queries(self, queries_QE: Floats, k: int) -> None:
        """Raise ValueError as `nearest` says."""
        if k < 1:
            raise ValueError(f"the {k} nearest of an embedding cannot be meant; allowed is 1 or more")
        check_embeddings(queries_QE, self.manifest.dimensions)

    def _blocks(self, since: int, most: int) -> Iterator[tuple[int, Floats]]:
        rows = min(most, _ROWS_AT_ONCE)
        for start, part_ME in zip(self.manifest.starts, self.parts, strict=True):
            for first in range(max(0, since - start), len(part_ME), rows):
                yield start + first, part_ME[first : first + rows]


def open_index(folder: Path) -> SimilarityIndex:
    """The index in a folder. Raises ValueError where there is none, or a file of it is missing or cut."""
    manifest = read_manifest(folder)
    parts = [np.load(folder / block.vectors.name, mmap_mode="r") for block in manifest.blocks]
    for block, part_ME in zip(manifest.blocks, parts, strict=True):
        if part_ME.shape != (block.count, manifest.dimensions) or part_ME.dtype != np.float32:
            raise ValueError(f"{folder / block.vectors.name} is not the block that was written: {part_ME.shape}")
    return SimilarityIndex(folder, manifest, tuple(np.asarray(part_ME) for part_ME in parts))


def extend_index(
    folder: Path, model: str, added: Embedded, beside: Mapping[str, bytes | None] = NO_FILES
) -> SimilarityIndex:
    """Add embeddings to the index in a folder, which is made where there is none; a source that it has changes nothing.

    model: the SHA-256 of the model file that they are by. beside: files that a new index gets, by name, with what they
    hold; None: one that it does not have, which an attempt that was broken off may have left. Raises ValueError where
    the model, or the embeddings' size, is another than the index has, and for embeddings that are not of length one.
    """
    check_embeddings(added.embeddings_NE)
    with writing(folder):
        if (folder / MANIFEST).exists():
            manifest = read_manifest(folder)
        else:
            manifest = Manifest(model=model, dimensions=added.embeddings_NE.shape[1], blocks=())
            write_beside(folder, beside)
        check_model(manifest, model)
        check_embeddings(added.embeddings_NE, manifest.dimensions)
        if added.source not in {block.source for block in manifest.blocks}:
            block = write_block(folder, len(manifest.blocks) + 1, added)
            write_manifest(folder, manifest.model_copy(update={"blocks": (*manifest.blocks, block)}))
    return open_index(folder)


def check_model(manifest: Manifest, model: str) -> None:
    """Raise ValueError where the index holds embeddings by another model file than this one, by its SHA-256."""
    if manifest.model != model:
        raise ValueError(
            f"the index was made with another model (SHA-256 {manifest.model[:12]}…, this one is {model[:12]}…); "
            "distances between the two mean nothing: make an index of its own for each"
        )


def check_embeddings(embeddings_NE: NDArray[np.floating], dimensions: int | None = None) -> None:
    """Raise ValueError for embeddings that are not float32 vectors of length one, or of another size."""
    if embeddings_NE.ndim != 2 or embeddings_NE.dtype != np.float32 or 0 in embeddings_NE.shape:
        raise ValueError(f"embeddings are float32 (N, E), got {embeddings_NE.dtype} {embeddings_NE.shape}")
    if dimensions is not None and embeddings_NE.shape[1] != dimensions:
        raise ValueError(f"the index holds embeddings of {dimensions} numbers, these have {embeddings_NE.shape[1]}")
    lengths_N = np.linalg.norm(embeddings_NE, axis=1)
    if not (right_N := np.abs(lengths_N - 1) <= _UNIT).all():
        place = int(np.argmin(right_N))
        raise ValueError(f"embedding {place} has the length {lengths_N[place]:g}; all must have length one")


def _largest(scores_QM: Floats, k: int) -> Places:
    """Where the k largest of each row are, in no order."""
    if scores_QM.shape[1] <= k:
        return np.broadcast_to(np.arange(scores_QM.shape[1]), scores_QM.shape)
    return np.argpartition(scores_QM, -k, axis=1)[:, -k:]
