import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from learning.blend import HALF_LIVES, Evidence, evidence_from_json, no_evidence, relevance


def observe_values(noises: list[float], batches: int = 3) -> Evidence:
    generator = np.random.default_rng(0)
    evidence = no_evidence("regression", len(noises), 0)
    for number in range(1, batches + 1):
        targets = generator.normal(50, 10, 200)
        outputs = targets[:, None] + generator.normal(size=(200, len(noises))) * noises
        evidence = evidence.observe(outputs[:, :, None].astype(np.float32), targets, number)
    return evidence


def observe_classes(sharpness: list[float], batches: int = 3) -> Evidence:
    generator = np.random.default_rng(0)
    evidence = no_evidence("classification", len(sharpness), 0)
    for number in range(1, batches + 1):
        targets = generator.integers(0, 3, 200)
        logits = np.eye(3)[targets][:, None, :] * np.array(sharpness)[:, None] + generator.normal(size=(200, 4, 3))
        evidence = evidence.observe(logits.astype(np.float32), targets, number)
    return evidence


def test_the_better_head_weighs_more() -> None:
    values, classes = observe_values([1, 5, 5, 5]).weights(), observe_classes([4, 0, 0, 0]).weights()
    assert values[0] > 0.8
    assert classes[0] > 0.8
    assert min(classes) > 0


def test_without_evidence_all_heads_weigh_the_same() -> None:
    for task in ("classification", "regression"):
        assert no_evidence(task, 4, 0).weights() == pytest.approx([0.25] * 4)


def test_perfect_heads_share() -> None:
    assert observe_values([0, 0]).weights() == pytest.approx([0.5, 0.5])


def test_the_newest_batch_outweighs_the_past() -> None:
    evidence = observe_classes([4, 0, 0, 0], batches=4)
    targets = np.zeros(200, dtype=np.int64)
    outputs = np.zeros((200, 4, 3), dtype=np.float32)
    outputs[:, 0, 1] = 6.0
    outputs[:, 3, 0] = 6.0
    for number in range(5, 8):
        evidence = evidence.observe(outputs, targets, number)
    assert evidence.weights()[3] > evidence.weights()[0]


@settings(max_examples=25, deadline=None)
@given(st.lists(st.floats(0.1, 50), min_size=4, max_size=4))
def test_weights_are_a_simplex_and_come_back_from_json(raw: list[float]) -> None:
    for evidence in (observe_values(raw), observe_classes(raw), no_evidence("classification", 4, 7)):
        weights = evidence.weights()
        assert sum(weights) == pytest.approx(1)
        assert min(weights) >= 0
        again = evidence_from_json(evidence.to_json())
        assert again.weights() == weights
        assert again.observed_through == evidence.observed_through


def test_something_else_is_no_evidence() -> None:
    with pytest.raises(ValueError, match="its task is None"):
        evidence_from_json("{}")


def test_relevance_falls_with_age_by_the_blend() -> None:
    ages = np.array([0, 1, 6, 100])
    assert relevance(ages, [1, 0, 0, 0]).tolist() == [1, 1, 1, 1]
    assert relevance(ages, [0, 1, 0, 0])[2] == pytest.approx(0.5)
    assert relevance(ages, [0, 0, 0, 1]).tolist() == [1, 0, 0, 0]
    assert relevance(ages, [0.25] * 4)[0] == 1
    assert relevance(ages, [1.0]).tolist() == [1, 1, 1, 1]
    assert HALF_LIVES[0] == math.inf
