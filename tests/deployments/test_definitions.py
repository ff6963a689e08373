from pathlib import Path

import pytest

from deployments.definitions import FLOWS, definitions, render

ROOT = Path(__file__).parents[2]
SMALL = "name: {name}\ntask: classification\ndata: {{target: defect}}\n{more}"


def test_prefect_yaml_is_what_the_definition_says(monkeypatch: pytest.MonkeyPatch) -> None:
    """`lehr deploy` writes it anew after a change of a pipeline file or of the definition."""
    monkeypatch.chdir(ROOT)
    pipelines = sorted(path.relative_to(ROOT) for path in (ROOT / "deployments" / "pipelines").glob("*.yaml"))
    assert (ROOT / "prefect.yaml").read_text(encoding="utf-8") == render(definitions(pipelines))


def test_every_flow_of_a_pipeline_is_defined_once(tmp_path: Path) -> None:
    found = definitions(
        [_pipeline(tmp_path, "a", "schedule: {learn: null, watch_minutes: null}"), _pipeline(tmp_path, "b")]
    )
    assert len(found) == 2 * len(FLOWS) + 3
    scheduled = [(d.flow, d.name) for d in found if d.cron is not None or d.interval_seconds is not None]
    assert scheduled == [("learn-continuously", "b"), ("watch-drift", "b")]
    (retrain,) = [d for d in found if (d.flow, d.name) == ("retrain", "a")]
    assert retrain.triggers[0]["match"]["prefect.resource.id"] == "lehr.pipeline.a"


def test_one_name_stands_for_one_pipeline(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    with pytest.raises(ValueError, match="two pipeline files are named a"):
        definitions([_pipeline(tmp_path, "a"), _pipeline(tmp_path / "other", "a")])


def test_a_schedule_that_is_no_cron_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"schedule.learn: 'hourly' is no cron expression"):
        definitions([_pipeline(tmp_path, "a", "schedule: {learn: hourly}")])


def _pipeline(folder: Path, name: str, more: str = "") -> Path:
    path = folder / f"{name}.yaml"
    path.write_text(SMALL.format(name=name, more=more))
    return path
