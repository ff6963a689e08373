"""`lehr tune` beside a loop that ran: the search, its page, MLflow's runs, and the gate."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient

from commands.tune import tune
from deployments.champions import champion_of, lineage_of
from deployments.line import read_line
from deployments.settings import Settings
from monitoring.tuning_terminal import outcome_text
from tests.flows.artifacts import shown
from tests.flows.conftest import PIPELINE
from tests.flows.test_learn_continuously import run

SPACE = """
tuning:
  objectives: [score, cost]
  trials: 4
  space:
    hidden_units: [[32, 16], [64, 32]]
    learning_rate: {low: 0.003, high: 0.02, log: true}
    dropout: [0.0, 0.1]
"""


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home that two batches of 400 rows went through."""
    from data.synthetic import write_line

    folder = tmp_path_factory.mktemp("ran")
    write_line(folder / "source", batches=2, rows=400)
    (folder / "line.yaml").write_text(PIPELINE)
    run(folder / "line.yaml", folder / "source", folder / "home")
    return folder


@pytest.fixture
def copied(ran: Path, tmp_path: Path) -> Path:
    shutil.copytree(ran / "home", tmp_path / "home")
    (tmp_path / "line.yaml").write_text(PIPELINE + SPACE)
    return tmp_path


def tuned(folder: Path, **how: Any) -> dict[str, Any]:
    return tune(folder / "line.yaml", home=folder / "home", **how)


def test_the_pick_goes_through_the_gate_and_the_study_is_kept(copied: Path) -> None:
    page, report = copied / "tune.html", copied / "tune.json"
    slow = (PIPELINE + SPACE).replace("{epochs: 10}", "{epochs: 10, learning_rate: 0.0001}")
    (copied / "line.yaml").write_text(slow.replace("low: 0.003", "low: 0.0001"))
    result = tuned(copied, html=page, report=report)
    line = read_line(copied / "line.yaml", Settings(home=copied / "home"))
    record = result["record"]
    assert json.loads(report.read_text())["best"] == json.loads(json.dumps(result["best"]))
    assert result["baseline"]["point"] == {"hidden_units": [32, 16], "learning_rate": 0.0001, "dropout": 0.0}
    assert {t["epochs"] for t in result["trials"]} == {2, 4, 10}
    assert result["changed"]
    judged = line.ledger.versions("line")[-1]
    assert judged.made_by == "tune"
    # Though the champion has learned from the newest batch, all that the gate asks can be told.
    assert [c["text"] for c in record["gate"]["checks"] if "could not be checked" in c["text"]] == []
    assert record["gate"]["passed"] == record["promoted"] == (record["champion"] == judged.version)
    assert ("in production" in outcome_text(result)) == record["promoted"]
    html = page.read_text()
    assert all(f'id="{plot}"' in html for plot in ("history", "front"))
    assert result["why"] in html
    runs = _runs(line.registry.tracking_uri)
    parent = next(run for run in runs if run.info.run_name == f"tune-{result['study']}")
    nested = [run for run in runs if run.data.tags.get("mlflow.parentRunId") == parent.info.run_id]
    assert len(nested) == len(result["trials"]) + len(result["finals"])
    kept = MlflowClient(line.registry.tracking_uri).list_artifacts(parent.info.run_id)
    assert [file.path for file in kept] == ["tuning.html"]
    assert result["why"] in shown("tuning-line")
    assert "hidden_units" in shown("trials-line")
    again = tuned(copied, candidate=False)
    assert again["trials"] == result["trials"]
    assert again["record"]["decision"]["action"] == "none"


def test_a_refused_pick_is_not_what_learning_goes_on_from(copied: Path) -> None:
    text = (PIPELINE + SPACE).replace("threshold: 0.3}", "threshold: 0.3, max_size_mb: 0.0001}")
    (copied / "line.yaml").write_text(text.replace("[[32, 16], [64, 32]]", "[[64, 32], [16, 8]]"))
    before = read_line(copied / "line.yaml", Settings(home=copied / "home"))
    lineage, champion = lineage_of(before), champion_of(before)
    result = tuned(copied, trials=2)
    line = read_line(copied / "line.yaml", Settings(home=copied / "home"))
    now, after = lineage_of(line), champion_of(line)
    assert lineage is not None and champion is not None and now is not None and after is not None
    assert result["changed"] and not result["record"]["promoted"]
    assert (now.number, after.number) == (lineage.number, champion.number)
    assert line.ledger.versions("line")[-1].made_by == "tune"
    assert "refused" in outcome_text(result) and "size" in outcome_text(result)


def test_a_new_study_begins_with_what_an_earlier_one_found(copied: Path) -> None:
    first = tuned(copied, candidate=False)
    (copied / "line.yaml").write_text((PIPELINE + SPACE).replace("epochs: 10", "epochs: 8"))
    second = tuned(copied, candidate=False)
    assert second["study"] != first["study"]
    assert first["best"]["point"] in [t["point"] for t in second["trials"]][:4]


def test_a_source_is_searched_without_any_history(tmp_path: Path) -> None:
    from data.synthetic import write_line

    write_line(tmp_path / "source", batches=2, rows=300)
    (tmp_path / "line.yaml").write_text((PIPELINE + SPACE).replace("name: line", "name: a_line"))
    result = tuned(tmp_path, source=[tmp_path / "source"], trials=2)
    assert shown("tuning-a-line")  # Prefect allows no underscore there
    assert result["record"] is None
    assert "only searched" in outcome_text(result) or not result["changed"]


def test_nothing_stored_is_said(tmp_path: Path) -> None:
    (tmp_path / "line.yaml").write_text(PIPELINE)
    with pytest.raises(ValueError, match="nothing is stored of the pipeline line"):
        tuned(tmp_path)


def _runs(uri: str) -> list[Any]:
    client = MlflowClient(uri, uri)
    experiment = client.get_experiment_by_name("lehr-line")
    assert experiment is not None
    return list(client.search_runs([experiment.experiment_id], max_results=500))
