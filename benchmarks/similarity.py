"""Similar signals among a million: exactly, and by faiss with the recall that this costs.

`python -m benchmarks.similarity [--embeddings 1000000] [--folder FOLDER]`. The embeddings are unit vectors of 64
numbers in clusters of uneven size, by seed; the queries are fresh ones of the same clusters. One thread; a query at a
time, as medians and 95th percentiles, and recall at 10 against the exact search. faiss comes with
`pip install 'lehr[faiss]'`; where it is not installed it is left out, which is said. Writes
benchmarks/out/similarity.json and similarity.png.
"""

import argparse
import tempfile
from importlib.util import find_spec
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

from benchmarks.results import bar_chart, write_json
from monitoring.approximate import ApproximateSearch, faiss_library, recall_of
from monitoring.similarity import Floats, Search, SimilarityIndex, extend_index, open_index
from monitoring.similarity_files import Embedded

DIMENSIONS, BLOCK, QUERIES, NEIGHBOURS = 64, 125_000, 300, 10
PER_CLUSTER = 500


class Clusters:
    """Directions with noise around them, as trained embeddings lie: spread .3 to 1 over all dimensions together."""

    def __init__(self, count: int, rng: np.random.Generator) -> None:
        self.centres = _unit(rng.standard_normal((max(2, count // PER_CLUSTER), DIMENSIONS)))
        self.shares = rng.dirichlet(np.ones(len(self.centres)))
        self.spreads = rng.uniform(0.3, 1.0, len(self.centres)) / np.sqrt(DIMENSIONS)

    def draw(self, count: int, rng: np.random.Generator) -> tuple[Floats, list[str]]:
        """So many embeddings, and the clusters that they are of."""
        of = rng.choice(len(self.centres), count, p=self.shares)
        noise = rng.standard_normal((count, DIMENSIONS)) * self.spreads[of, None]
        return _unit(self.centres[of] + noise).astype(np.float32), [f"m{cluster:05}" for cluster in of]


def build(folder: Path, count: int, clusters: Clusters, rng: np.random.Generator) -> SimilarityIndex:
    """An index of so many, added in blocks."""
    for start in range(0, count, BLOCK):
        embeddings, elements = clusters.draw(min(BLOCK, count - start), rng)
        ids = [f"{start + place}" for place in range(len(embeddings))]
        extend_index(folder, "the benchmark", Embedded(embeddings, ids, elements, elements, str(start)))
    return open_index(folder)


def milliseconds(search: Search, queries_QE: Floats) -> dict[str, float]:
    """Of one query at a time, after a few that warm up."""
    taken: list[float] = []
    for place in range(len(queries_QE)):
        started = perf_counter()
        search.nearest(queries_QE[place : place + 1], NEIGHBOURS)
        taken.append(1000 * (perf_counter() - started))
    median, p95 = np.quantile(taken[10:], [0.5, 0.95])
    return {"ms": float(median), "ms_p95": float(p95)}


def measure(folder: Path, count: int, seed: int) -> dict[str, Any]:
    """Seconds to build and open, milliseconds of a query, recall at 10 and bytes, exactly and by faiss."""
    rng = np.random.default_rng(seed)
    clusters = Clusters(count, rng)
    started = perf_counter()
    build(folder, count, clusters, rng)
    built = perf_counter()
    index = open_index(folder)
    opened = perf_counter()
    queries = clusters.draw(QUERIES, rng)[0]
    found: dict[str, Any] = {"embeddings": count, "build_seconds": built - started, "open_seconds": opened - built}
    found["exact"] = milliseconds(index, queries[:60])
    if find_spec("faiss") is not None:
        faiss_library().omp_set_num_threads(1)
        started = perf_counter()
        search = ApproximateSearch(index, seed=seed)
        found["faiss"] = {"build_seconds": perf_counter() - started, **milliseconds(search, queries)}
        expected = index.nearest(queries, NEIGHBOURS).places_QK
        found["faiss"]["recall_at_10"] = recall_of(search.nearest(queries, NEIGHBOURS).places_QK, expected)
        known = search.index.manifest.approximate
        assert known is not None, "it was just built"
        found["faiss"] |= {"megabytes": known.file.bytes / 1e6, "probes": known.probes, "recall_told": known.recall}
    return found


def _unit(vectors_NE: Any) -> Any:
    return vectors_NE / np.linalg.norm(vectors_NE, axis=1, keepdims=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--embeddings", type=int, default=1_000_000)
    parser.add_argument("--folder", type=Path, help="where the index is made; default: a temporary folder")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        results = measure(Path(folder) / "index", arguments.embeddings, arguments.seed)
    for name in ("exact", "faiss"):
        print(f"{name}: " + ", ".join(f"{key} {value:.3g}" for key, value in results.get(name, {}).items()))
    if "faiss" not in results:
        print("faiss is not installed and left out: pip install 'lehr[faiss]'")
    print(f"built in {results['build_seconds']:.1f} s, opened in {1000 * results['open_seconds']:.1f} ms")
    bars = {name: results[name]["ms"] for name in ("exact", "faiss") if name in results}
    bar_chart("similarity", f"ms a query, {arguments.embeddings:,} embeddings", {"median": bars})
    write_json("similarity", results)


if __name__ == "__main__":
    main()
