import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitoring.retrieval import retrieve


def by_hand(embeddings, kinds, left_out, found, query):
    """Recall@1 and AP@R of one query, as their definition reads; None where there is nothing of its kind to find."""
    others = [n for n in range(len(kinds)) if n != query and (left_out is None or left_out[n] != left_out[query])]
    others = [n for n in others if found is None or found[n]]
    far = {
        n: round(sum((a - b) ** 2 for a, b in zip(embeddings[n], embeddings[query], strict=True)), 9) for n in others
    }
    nearest = sorted(others, key=lambda n: (far[n], kinds[n] == kinds[query]))
    right = [kinds[n] == kinds[query] for n in nearest]
    size = sum(right)
    if size == 0:
        return None
    precisions = [sum(right[: i + 1]) / (i + 1) for i in range(size) if right[i]]
    return float(right[0]), sum(precisions) / size


@given(st.data(), st.integers(1, 12), st.integers(1, 3))
def test_as_by_hand(data, count, size) -> None:
    whole = st.lists(st.integers(0, 3), min_size=count, max_size=count)
    embeddings = np.array([data.draw(st.lists(st.integers(-2, 2), min_size=size, max_size=size)) for _ in range(count)])
    kinds, left_out = np.array(data.draw(whole)), data.draw(st.none() | whole.map(np.array))
    asked = np.array(data.draw(st.lists(st.booleans(), min_size=count, max_size=count)))
    there = data.draw(st.none() | st.lists(st.booleans(), min_size=count, max_size=count).map(np.array))
    found = retrieve(embeddings.astype(np.float32), kinds, left_out, asked, there)
    for query in range(count):
        expected = by_hand(embeddings.tolist(), kinds, left_out, there, query) if asked[query] else None
        got = (found.hits_N[query], found.precisions_N[query])
        if expected is None:
            assert np.isnan(got).all()
        else:
            np.testing.assert_allclose(got, expected, atol=1e-12)


def test_chunks_change_nothing(monkeypatch) -> None:
    rng = np.random.default_rng(0)
    embeddings, kinds = rng.standard_normal((50, 4)), rng.integers(0, 6, 50)
    whole = retrieve(embeddings, kinds)
    monkeypatch.setattr("monitoring.retrieval._AT_ONCE", 100)
    again = retrieve(embeddings, kinds)
    np.testing.assert_array_equal(whole.hits_N, again.hits_N)
    np.testing.assert_array_equal(whole.precisions_N, again.precisions_N)
    assert whole.recall_at_1 == whole.hits_N.mean()


def test_embeddings_that_are_all_alike_find_nothing() -> None:
    noise = 1 + 1e-7 * np.random.default_rng(0).standard_normal((40, 8)).astype(np.float32)
    found = retrieve(noise / np.linalg.norm(noise, axis=1, keepdims=True), np.repeat(np.arange(4), 10))
    assert (found.recall_at_1, found.map_at_r) == (0.0, 0.0)


def test_without_a_neighbour_of_its_kind_there_is_no_score() -> None:
    found = retrieve(np.eye(3), np.arange(3))
    assert (found.recall_at_1, found.map_at_r) == (None, None)
    assert retrieve(np.empty((0, 3)), np.arange(0)).recall_at_1 is None


def test_what_has_no_score_is_refused() -> None:
    with pytest.raises(ValueError, match="1 embeddings are not finite"):
        retrieve(np.array([[np.nan, 0.0], [0.0, 1.0]]), np.zeros(2, int))
    with pytest.raises(ValueError, match="2 embeddings need as many kinds"):
        retrieve(np.eye(2), np.zeros(3, int))
