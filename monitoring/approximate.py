"""The nearest of an index by faiss: inverted lists of 8-bit codes, and the candidates ranked in full precision.

Shapes: N embeddings, Q queries, K neighbours, E numbers of an embedding.
"""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from monitoring.similarity import Floats, Neighbours, Places, SimilarityIndex, open_index
from monitoring.similarity_files import Approximate, write_manifest, write_sealed, writing

_CANDIDATES = 4
_TRAINED_ON, _PER_LIST = 100_000, 39
_TRIED, _AT = 200, 10
_AT_ONCE = 2**17


class ApproximateSearch:
    """An index with faiss's beside it, loaded to be asked often; what was added since it was built is searched exactly.

    It is built the first time, and again when it covers less than half of the index; both need the extra faiss.
    """

    def __init__(self, index: SimilarityIndex, recall: float = 0.98, seed: int = 0) -> None:
        self._faiss = faiss_library()
        known = index.manifest.approximate
        if known is None or 2 * known.count < len(index):
            index = build_approximate(index.folder, recall, seed)
            known = index.manifest.approximate
        assert known is not None, "it was just built"
        self.index, self.recall, self._covered = index, known.recall, known.count
        self._lists: Any = self._faiss.read_index(str(index.folder / known.file.name))
        self._lists.nprobe = known.probes

    def nearest(self, queries_QE: Floats, k: int) -> Neighbours:
        """The k nearest of each query, nearly always, by exact distances. Raises ValueError as the exact search."""
        self.index.check_queries(queries_QE, k)
        k = min(k, len(self.index))
        _, places_QK = self._lists.search(np.ascontiguousarray(queries_QE), _CANDIDATES * k)
        if self._covered < len(self.index):
            places_QK = np.concatenate([places_QK, self.index.best(queries_QE, k, since=self._covered)], 1)
        few_Q = (places_QK >= 0).sum(1) < k
        found = self.index.ranked(queries_QE, places_QK, k)
        if few_Q.any():
            exact = self.index.nearest(queries_QE[few_Q], k)
            found.places_QK[few_Q], found.distances_QK[few_Q] = exact.places_QK, exact.distances_QK
        return found


def build_approximate(folder: Path, recall: float, seed: int) -> SimilarityIndex:
    """Build faiss's index of all embeddings, with as few lists probed as reach this recall at 10, and keep it there.

    The recall is measured against the exact search, for embeddings of the index itself drawn by the seed, themselves
    left out. Raises ValueError where faiss is not installed.
    """
    faiss = faiss_library()
    with writing(folder):
        index = open_index(folder)
        rng = np.random.default_rng(seed)
        lists = _filled(faiss, index, rng)
        probes, reached = _probes(lists, index, recall, rng)
        content: bytes = faiss.serialize_index(lists).tobytes()
        file = write_sealed(folder / f"approximate-{len(index):09}-{seed}.faiss", content)
        before = index.manifest.approximate
        known = Approximate(file=file, count=len(index), probes=probes, recall=reached)
        write_manifest(folder, index.manifest.model_copy(update={"approximate": known}))
        if before is not None and before.file.name != file.name:
            (folder / before.file.name).unlink()
    return open_index(folder)


def faiss_library() -> Any:
    """The module faiss; raises ValueError where its extra is not installed."""
    try:
        import faiss  # pyright: ignore[reportMissingImports]
    except ImportError:
        raise ValueError("an approximate search needs the extra faiss: pip install 'lehr[faiss]'") from None
    return faiss


def _filled(faiss: Any, index: SimilarityIndex, rng: np.random.Generator) -> Any:
    """About as many lists as the square root of all embeddings, trained on a sample."""
    count = len(index)
    sample = index.vectors(np.sort(rng.choice(count, min(count, _TRAINED_ON), replace=False)))
    lists = max(1, min(2 ** round(np.log2(np.sqrt(count))), len(sample) // _PER_LIST))
    found = faiss.index_factory(index.manifest.dimensions, f"IVF{lists},SQ8", faiss.METRIC_INNER_PRODUCT)
    found.cp.seed, found.cp.min_points_per_centroid = int(rng.integers(2**31)), 1
    found.train(sample)
    for part_ME in index.parts:
        for start in range(0, len(part_ME), _AT_ONCE):
            found.add(np.ascontiguousarray(part_ME[start : start + _AT_ONCE]))
    return found


def _probes(lists: Any, index: SimilarityIndex, recall: float, rng: np.random.Generator) -> tuple[int, float]:
    asked_Q = np.sort(rng.choice(len(index), min(len(index), _TRIED), replace=False))
    queries_QE, probes = index.vectors(asked_Q), 1
    expected_QK = index.nearest(queries_QE, _AT + 1).places_QK
    while True:
        lists.nprobe = probes
        _, places_QK = lists.search(queries_QE, _CANDIDATES * (_AT + 1))
        reached = recall_of(index.ranked(queries_QE, places_QK, _AT + 1).places_QK, expected_QK, asked_Q)
        if reached >= recall or probes >= lists.nlist:
            return probes, reached
        probes = min(2 * probes, lists.nlist)


def recall_of(found_QK: Places, expected_QK: Places, left_out_Q: NDArray[np.int64] | None = None) -> float:
    """The share of the expected neighbours that were found; left_out_Q: a place of each query that does not count."""
    hits_QK = (expected_QK[:, :, None] == found_QK[:, None]).any(2)
    counts_QK = np.ones_like(hits_QK) if left_out_Q is None else expected_QK != left_out_Q[:, None]
    return float(hits_QK[counts_QK].mean())
