import json
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitoring import similarity
from monitoring.similarity import SimilarityIndex, extend_index, open_index
from monitoring.similarity_files import MANIFEST, Block, Embedded, Manifest
from tests.forked import fork
from tests.monitoring.index_process import ROWS, add_blocks, block


def unit(count: int, dimensions: int, seed: int) -> np.ndarray:
    vectors = np.random.default_rng(seed).standard_normal((count, dimensions))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def embedded(vectors: np.ndarray, source: str) -> Embedded:
    ids = [f"{source}:{n}" for n in range(len(vectors))]
    return Embedded(
        vectors, ids, [f"m{n % 3}" for n in range(len(vectors))], [f"s{n % 2}" for n in range(len(vectors))], source
    )


@given(st.lists(st.integers(1, 30), min_size=1, max_size=4), st.integers(1, 12), st.integers(1, 5), st.integers(0, 99))
def test_the_nearest_of_all_blocks_are_found_exactly(sizes, k, queries, seed) -> None:
    parts = tuple(unit(size, 6, seed + n) for n, size in enumerate(sizes))
    manifest = Manifest.model_construct(
        model="m",
        dimensions=6,
        blocks=tuple(Block.model_construct(count=len(part)) for part in parts),
        approximate=None,
    )
    asked = unit(queries, 6, seed + 1000)
    found = SimilarityIndex(Path("nowhere"), manifest, parts).nearest(asked, k)
    everything = np.concatenate(parts).astype(np.float64)
    far = np.linalg.norm(asked[:, None].astype(np.float64) - everything, axis=2)
    expected = np.argsort(far, axis=1, kind="stable")[:, :k]
    np.testing.assert_array_equal(found.places_QK, expected)
    np.testing.assert_allclose(found.distances_QK, np.take_along_axis(far, expected, 1), atol=1e-12)


def test_chunks_change_nothing(monkeypatch, tmp_path: Path) -> None:
    index = extend_index(tmp_path, "model", embedded(unit(500, 8, 0), "a"))
    asked = unit(20, 8, 1)
    whole = index.nearest(asked, 7)
    monkeypatch.setattr(similarity, "_ROWS_AT_ONCE", 5)
    again = index.nearest(asked, 7)
    np.testing.assert_array_equal(whole.places_QK, again.places_QK)
    np.testing.assert_array_equal(index.nearest(asked[:1], 1000).places_QK.shape, (1, 500))


def test_what_was_added_is_there_when_it_is_opened_again(tmp_path: Path) -> None:
    first, second = unit(10, 4, 0), unit(5, 4, 1)
    before = extend_index(tmp_path, "model", embedded(first, "a"))
    after = extend_index(tmp_path, "model", embedded(second, "b"))
    assert (len(before), len(after), len(open_index(tmp_path))) == (10, 15, 15)
    assert after.names([12, 0, 12]).rows() == [("b:2", "m2", "s0"), ("a:0", "m0", "s0"), ("b:2", "m2", "s0")]
    np.testing.assert_array_equal(after.vectors(np.array([[12, 0]])), [[second[2], first[0]]])
    assert (after.place_of("a"), after.place_of("b"), after.place_of("c")) == (0, 10, None)
    assert after.changes() == []


def test_the_same_source_again_changes_nothing(tmp_path: Path) -> None:
    extend_index(tmp_path, "model", embedded(unit(10, 4, 0), "a"))
    before = (tmp_path / MANIFEST).read_bytes()
    assert len(extend_index(tmp_path, "model", embedded(unit(10, 4, 0), "a"))) == 10
    assert (tmp_path / MANIFEST).read_bytes() == before


def test_an_index_is_of_one_model_and_one_size(tmp_path: Path) -> None:
    index = extend_index(tmp_path, "a" * 64, embedded(unit(10, 4, 0), "a"))
    with pytest.raises(
        ValueError, match=r"made with another model \(SHA-256 aaaaaaaaaaaa…, this one is bbbbbbbbbbbb…\)"
    ):
        extend_index(tmp_path, "b" * 64, embedded(unit(10, 4, 1), "b"))
    with pytest.raises(ValueError, match="the index holds embeddings of 4 numbers, these have 5"):
        extend_index(tmp_path, "a" * 64, embedded(unit(10, 5, 1), "b"))
    with pytest.raises(ValueError, match="the index holds embeddings of 4 numbers, these have 5"):
        index.nearest(unit(1, 5, 0), 3)
    assert len(open_index(tmp_path)) == 10


def test_what_is_no_embedding_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="embedding 1 has the length 2; all must have length one"):
        extend_index(tmp_path, "model", embedded(unit(3, 4, 0) * np.float32([[1], [2], [1]]), "a"))
    with pytest.raises(ValueError, match="embedding 0 has the length nan"):
        extend_index(tmp_path, "model", embedded(np.full((2, 4), np.nan, np.float32), "a"))
    with pytest.raises(ValueError, match=r"embeddings are float32 \(N, E\), got float64"):
        extend_index(tmp_path, "model", embedded(unit(3, 4, 0).astype(np.float64), "a"))
    with pytest.raises(ValueError, match=r"must be as many, got \[2, 3\]"):
        replace(embedded(unit(3, 4, 0), "a"), ids=["x", "y"])
    index = extend_index(tmp_path, "model", embedded(unit(3, 4, 0), "a"))
    with pytest.raises(ValueError, match="the 0 nearest"):
        index.nearest(unit(1, 4, 0), 0)


def test_a_damaged_index_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"is no index of signals: index.json: No such file"):
        open_index(tmp_path / "nothing")
    index = extend_index(tmp_path, "model", embedded(unit(10, 4, 0), "a"))
    vectors = tmp_path / index.manifest.blocks[0].vectors.name
    content = vectors.read_bytes()
    vectors.write_bytes(content[:-4] + b"\0\0\0\0")
    assert [change.where for change in open_index(tmp_path).changes()] == [str(vectors)]
    vectors.write_bytes(content[:-4])
    with pytest.raises(ValueError, match=f"vectors-000001.npy has {len(content) - 4} bytes; .* with {len(content)}"):
        open_index(tmp_path)
    vectors.unlink()
    with pytest.raises(ValueError, match=r"vectors-000001.npy is missing"):
        open_index(tmp_path)
    manifest = json.loads((tmp_path / MANIFEST).read_text())
    (tmp_path / MANIFEST).write_text(json.dumps({**manifest, "format": 2}))
    with pytest.raises(ValueError, match=r"index.json is not a manifest of an index"):
        open_index(tmp_path)


def test_an_index_survives_being_killed_while_it_is_written(tmp_path: Path) -> None:
    """Whatever was said to be in it is there, whole, and the next one goes on after it."""
    folder, notes, rng = tmp_path / "index", tmp_path / "notes", np.random.default_rng(0)
    for kill in range(8):
        there = len(open_index(folder)) if kill else 0
        notes.write_text("")
        process = fork(add_blocks, str(folder), str(notes), str(there // ROWS))
        while not notes.read_text():
            assert process.is_alive()
            time.sleep(0.005)
        time.sleep(rng.uniform(0.0, 0.05))
        process.kill()
        process.join()
        told = int(notes.read_text().splitlines()[-1])
        index = open_index(folder)
        assert len(index) in (told, told + ROWS)
        assert index.changes() == []
        last = len(index) // ROWS - 1
        np.testing.assert_array_equal(index.vectors(np.arange(last * ROWS, len(index))), block(last).embeddings_NE)
        assert index.names([len(index) - 1])["id"].to_list() == [f"{last}:{ROWS - 1}"]


@pytest.mark.parametrize("places", [[-1], [4, 5], [999, 0]])
def test_a_place_that_the_index_does_not_have_has_no_name(tmp_path: Path, places: list[int]) -> None:
    index = extend_index(tmp_path, "model", embedded(unit(5, 4, 0), "a"))
    with pytest.raises(ValueError, match=r"the index has no place -?\d+; allowed is 0 to 4"):
        index.names(places)
