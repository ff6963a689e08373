from typing import Any

import pytest
from pydantic import ValidationError

from learning.schedules import Constant, Cosine, Plateau, ScheduleConfig, Step
from service.training.epoch_config import EpochTraining
from service.training.schedules import schedule_of

LEAST: dict[str, Any] = {
    "name": "line 3",
    "feature_columns": ["heat"],
    "target_column": "quality",
    "data_source": {"kind": "file", "file_id": "0" * 64},
}


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({}, Constant()),
        ({"learning_rate_scheduler": "step"}, Step(step_size=30, gamma=0.1)),
        ({"learning_rate_scheduler": "step", "step_size": 5, "gamma": 0.5}, Step(step_size=5, gamma=0.5)),
        ({"learning_rate_scheduler": {"type": "plateau"}}, Plateau(patience=5, factor=0.5)),
        ({"learning_rate_scheduler": {"type": "plateau"}, "patience": 2, "factor": 0.3}, Plateau(patience=2, factor=0.3)),  # noqa: E501
        ({"learning_rate_scheduler": {"type": "cosine", "T_max": 9}}, Cosine(T_max=9, eta_min=0.0001)),
        ({"learning_rate_scheduler": "cosine"}, Cosine(T_max=100, eta_min=0.0001)),
    ],
)  # fmt: skip
def test_a_scheduler_is_written_in_either_way(asked: dict[str, Any], expected: ScheduleConfig) -> None:
    training = EpochTraining.model_validate({**LEAST, **asked})
    assert schedule_of(training.learning_rate_scheduler) == expected
    assert EpochTraining.model_validate(training.model_dump(mode="json")) == training


def test_the_earlier_systems_defaults() -> None:
    training = EpochTraining.model_validate(LEAST)
    assert (training.model_type, training.epochs, training.batch_size) == ("mlp", 100, 32)
    assert (training.learning_rate, training.hidden_units, training.dropout_rate) == (0.001, [64, 32], 0.2)
    assert (training.early_stopping_patience, training.min_delta) == (10, 0.001)


@pytest.mark.parametrize(
    "asked",
    [
        {"learning_rate_scheduler": "sideways"},
        {"learning_rate_scheduler": "step", "factor": 0.5},
        {"step_size": 5},
        {"epochs": 0},
        {"learning_rate": float("nan")},
        {"learning_rate": float("inf")},
        {"feature_columns": ["quality"]},
        {"name": "a\x00b"},
        {"data_source": {"kind": "file", "file_id": "../../etc/passwd"}},
        {"unknown": 1},
    ],
)
def test_what_makes_no_sense_is_refused(asked: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        EpochTraining.model_validate({**LEAST, **asked})
