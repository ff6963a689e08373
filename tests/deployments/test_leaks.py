from dataclasses import replace

import numpy as np
import pytest
import torch

from data.samples import Samples
from deployments.leaks import check_copies, count_learned
from deployments.verdict import Judged
from tests.deployments.test_gate import ROWS, evidence


def samples(rows_NC: np.ndarray, batch: int = 1) -> Samples:
    count = len(rows_NC)
    rows = torch.from_numpy(rows_NC.astype(np.float32)).contiguous()
    return Samples(rows, torch.arange(count), 1, torch.zeros(count), torch.full((count,), batch))


def with_column(judged: Judged, column_B: np.ndarray) -> Judged:
    return replace(judged, readings_BC=np.stack([judged.readings_BC[:, 0], column_B], 1).astype(np.float32))


def test_held_out_rows_in_the_memory_are_counted_and_twins_of_training_rows_are_not() -> None:
    rows_NC = np.random.default_rng(0).standard_normal((30, 4))
    trained, held_out = samples(rows_NC[:20]), samples(rows_NC[15:])
    assert count_learned(samples(rows_NC[:20]), trained, held_out) == 0
    assert count_learned(samples(rows_NC[:23]), trained, held_out) == 3
    assert count_learned(samples(rows_NC[20:], batch=2), trained, held_out) == 0, "other rows, which look alike"


@pytest.mark.parametrize("noise", [0.0, 0.05])
def test_a_copy_of_the_class_is_named(noise: float) -> None:
    judged = evidence(0.9, 0.8)
    copy_B = judged.targets_B + noise * np.random.default_rng(1).standard_normal(ROWS)
    check = check_copies(with_column(judged, copy_B))
    assert not check.passed
    assert "(b)" in check.text


def test_a_copy_of_the_value_is_named_and_a_close_relation_is_not() -> None:
    judged = evidence(0.9, 0.8)
    values_B = np.random.default_rng(2).standard_normal(ROWS)
    judged = replace(judged, targets_B=values_B, classes=None)
    assert not check_copies(with_column(judged, 7 - 3 * values_B)).passed
    close_B = values_B + 0.05 * np.random.default_rng(3).standard_normal(ROWS)
    assert check_copies(with_column(judged, close_B)).passed


def test_a_threshold_on_a_sensor_is_no_copy() -> None:
    judged = evidence(0.9, 0.8)
    sensor_B = np.random.default_rng(4).standard_normal(ROWS)
    assert check_copies(replace(with_column(judged, sensor_B), targets_B=(sensor_B > 0).astype(int))).passed
