from pathlib import Path
from typing import Any

import pytest

from deployments.pipeline import PipelineConfig

SMALLEST: dict[str, Any] = {"name": "line", "task": "classification", "data": {"target": "defect"}}


def changed(path: str, value: Any) -> dict[str, Any]:
    document = {**SMALLEST, "data": dict(SMALLEST["data"])}
    place = document
    *parents, last = path.split(".")
    for key in parents:
        place[key] = dict(place.get(key, {}))
        place = place[key]
    place[last] = value
    return document


def test_only_name_task_and_target_are_needed() -> None:
    config = PipelineConfig.parse(SMALLEST, "here")
    assert config.metric == "accuracy"
    assert config.update.strategy == "half_lives"


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        ("colour", 1, "colour: unknown key; allowed are data, drift, gate"),
        ("training.epoch", 3, "training.epoch: unknown key; allowed are"),
        ("training.epoch", 3, "did you mean 'epochs'?"),
        ("training.epochs", "many", "training.epochs: input should be a valid integer, got 'many'"),
        ("training.epochs", 0, "training.epochs: input should be greater than or equal to 1, got 0"),
        (
            "update",
            {"strategy": "half_lives", "rows": 3},
            "update.rows: unknown key; allowed are memory_rows, strategy",
        ),
        ("update", {"strategy": "ewc"}, "update: input tag 'ewc'"),
        ("update", {"memory_rows": 3}, "update.strategy: is missing; allowed are fine_tune, half_lives"),
        (
            "trigger",
            {"any": [{"kind": "drift", "dorp": 1}]},
            "trigger.any[0].dorp: unknown key; allowed are action, kind",
        ),
        (
            "trigger",
            {"any": [{"kind": "score_drift"}]},
            "trigger.any[0].detector: is missing; allowed are adwin, ddm, page_hinkley",
        ),
        ("trigger", {}, "trigger: give either 'any' or 'all'"),
        ("gate.metric", "rmse", "gate.metric: rmse does not fit classification; allowed are accuracy"),
        ("gate.metric", "auc", "gate.metric: input should be 'accuracy'"),
        ("data.features", {"include": ["a", "defect"]}, "data.features.include: 'defect' is the target"),
        ("data.window", {"length": 0}, "data.window.length: input should be greater than or equal to 1"),
        ("name", "My Line", "name: string should match pattern"),
        ("training.loss", {"kind": "huber"}, "training.loss: huber does not fit classification; allowed are cross_e"),
    ],
)
def test_a_mistake_is_named_with_its_path(path: str, value: Any, said: str) -> None:
    with pytest.raises(ValueError, match="here is not a valid pipeline file") as error:
        PipelineConfig.parse(changed(path, value), "here")
    assert said in str(error.value)


def test_ddm_is_for_classes() -> None:
    document = {
        **SMALLEST,
        "trigger": {"any": [{"kind": "rows", "count": 5}, {"kind": "score_drift", "detector": "ddm"}]},
    }
    trigger = PipelineConfig.parse(document, "here").trigger
    assert trigger.any is not None
    assert trigger.any[1].kind == "score_drift"
    with pytest.raises(ValueError, match=r"trigger.any\[1\].detector: ddm does not fit regression; allowed are adwin"):
        PipelineConfig.parse({**document, "task": "regression"}, "here")


def test_a_missing_key_is_named() -> None:
    with pytest.raises(ValueError, match=r"data\.target: is missing"):
        PipelineConfig.parse({"name": "line", "task": "regression", "data": {}}, "here")


def test_windows_take_a_network_for_windows() -> None:
    assert PipelineConfig.parse(changed("data.window", {"length": 30}), "here").model.architecture == "cnn_lstm"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: [1", "is not YAML"),
        ("- 1", "must hold keys and values"),
        ("name: a\nname: b", "'name' stands twice"),
        ("", "name: is missing"),
    ],
)
def test_a_file_that_is_no_mapping_is_refused(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "p.yaml"
    path.write_text(text)
    with pytest.raises(ValueError, match=said):
        PipelineConfig.load(path)


def test_an_absent_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"cannot read .*nowhere\.yaml"):
        PipelineConfig.load(tmp_path / "nowhere.yaml")
