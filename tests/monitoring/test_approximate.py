import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks.similarity import Clusters, build
from monitoring.approximate import ApproximateSearch, recall_of
from monitoring.similarity import extend_index, open_index
from monitoring.similarity_files import Embedded


@pytest.fixture
def clusters() -> Clusters:
    return Clusters(20_000, np.random.default_rng(0))


def test_nearly_all_of_the_nearest_are_found(tmp_path: Path, clusters: Clusters) -> None:
    pytest.importorskip("faiss")
    rng = np.random.default_rng(1)
    index = build(tmp_path, 20_000, clusters, rng)
    search = ApproximateSearch(index)
    queries = clusters.draw(200, rng)[0]
    exact = index.nearest(queries, 10)
    found = search.nearest(queries, 10)
    assert recall_of(found.places_QK, exact.places_QK) >= 0.95
    assert search.recall >= 0.98
    same = found.places_QK == exact.places_QK
    np.testing.assert_array_equal(found.distances_QK[same], exact.distances_QK[same])
    assert open_index(tmp_path).changes() == []


def test_what_was_added_since_is_found_too(tmp_path: Path, clusters: Clusters) -> None:
    pytest.importorskip("faiss")
    rng = np.random.default_rng(2)
    ApproximateSearch(build(tmp_path, 4_000, clusters, rng))
    late, elements = clusters.draw(500, rng)
    index = extend_index(tmp_path, "the benchmark", Embedded(late, elements, elements, elements, "late"))
    search = ApproximateSearch(index)
    assert search.index.manifest.approximate == index.manifest.approximate
    np.testing.assert_array_equal(search.nearest(late[:20], 1).places_QK[:, 0], np.arange(4_000, 4_020))


def test_it_is_built_again_when_it_covers_less_than_half(tmp_path: Path, clusters: Clusters) -> None:
    pytest.importorskip("faiss")
    rng = np.random.default_rng(3)
    ApproximateSearch(build(tmp_path, 1_000, clusters, rng))
    late, elements = clusters.draw(1_500, rng)
    index = extend_index(tmp_path, "the benchmark", Embedded(late, elements, elements, elements, "late"))
    again = ApproximateSearch(index)
    assert again.index.manifest.approximate is not None
    assert again.index.manifest.approximate.count == 2_500
    assert len(list(tmp_path.glob("*.faiss"))) == 1


def test_few_embeddings_are_all_found(tmp_path: Path, clusters: Clusters) -> None:
    pytest.importorskip("faiss")
    rng = np.random.default_rng(4)
    index = build(tmp_path, 30, clusters, rng)
    queries = clusters.draw(5, rng)[0]
    found = ApproximateSearch(index).nearest(queries, 50)
    np.testing.assert_array_equal(found.places_QK, index.nearest(queries, 50).places_QK)


def test_without_faiss_the_extra_is_named(tmp_path: Path, clusters: Clusters, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "faiss", None)
    index = build(tmp_path, 30, clusters, np.random.default_rng(5))
    with pytest.raises(ValueError, match=r"pip install 'lehr\[faiss\]'"):
        ApproximateSearch(index)
