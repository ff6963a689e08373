from dataclasses import replace

import numpy as np
import pytest

from deployments.gate import judge
from deployments.slices import make_slices
from deployments.verdict import Check, Judged
from tests.deployments.test_gate import CLASSES, CONFIG, ROWS, evidence


def spoilt(judged: Judged, rows_B: np.ndarray) -> Judged:
    """The candidate guesses the class after the true one on these rows, and is right on all others."""
    right_B = judged.targets_B
    guess_B = np.where(rows_B, (right_B + 1) % CLASSES, right_B)
    return replace(judged, candidate=(0.9 * np.eye(CLASSES)[guess_B] + 0.1 / CLASSES).astype(np.float32))


def checks_of(judged: Judged) -> dict[str, Check]:
    return {check.name: check for check in judge(CONFIG, "accuracy", judged).checks}


def test_a_loss_on_one_group_is_named_though_the_mean_gains() -> None:
    judged = evidence(0.95, 0.7)
    assert judged.groups_B is not None
    check = checks_of(spoilt(judged, (judged.groups_B == "y") & (judged.readings_BC[:, 0] > 0)))
    assert check["not_worse"].passed
    assert not check["slices"].passed
    assert "line y" in check["slices"].text
    assert not check["worst_group"].passed


def test_a_loss_at_one_end_of_a_sensor_is_named() -> None:
    judged = evidence(0.95, 0.75)
    high_B = judged.readings_BC[:, 1] >= np.quantile(judged.readings_BC[:, 1], 0.9)
    check = checks_of(spoilt(judged, high_B))
    assert check["not_worse"].passed
    assert "clearly on b from" in check["slices"].text


def test_a_loss_on_an_earlier_batch_is_named_while_it_counts() -> None:
    judged = evidence(0.95, 0.7)
    forgot = spoilt(judged, judged.batches_B == 2)
    assert "batch 2" in checks_of(forgot)["regimes"].text
    assert not checks_of(forgot)["regimes"].passed
    faded = replace(forgot, relevance_B=np.where(forgot.batches_B == 2, 0.02, 1.0))
    assert checks_of(faded)["regimes"].passed


def test_a_small_group_is_pooled_and_said_to_be_too_small() -> None:
    judged = evidence(0.9, 0.8)
    groups_B = np.where(np.arange(ROWS) < 12, "rare", "often")
    found = checks_of(replace(judged, groups_B=groups_B))
    assert found["too_few_rows"].passed
    assert "line rare (12)" in found["too_few_rows"].text


@pytest.mark.parametrize("first", range(4))
def test_equals_are_seldom_refused_over_forty_slices(first: int) -> None:
    names = tuple(f"s{i}" for i in range(16))
    refused = 0
    for seed in range(10 * first, 10 * first + 10):
        judged = evidence(0.8, 0.8, seed)
        readings_BC = np.random.default_rng(seed).standard_normal((ROWS, 16)).astype(np.float32)
        judged = replace(judged, readings_BC=readings_BC, features=names)
        assert len(make_slices(judged)) >= 40
        found = checks_of(judged)
        refused += not all(found[name].passed for name in ("regimes", "slices", "worst_group"))
    assert refused <= 1


def test_of_values_groups_and_sensors_are_slices_and_classes_none() -> None:
    judged = replace(evidence(0.8, 0.8), classes=None)
    assert {s.family for s in make_slices(judged)} == {"regimes", "groups", "sensors"}
