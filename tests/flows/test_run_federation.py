"""`lehr federate` on lines that lie in folders: learning together, and later deciding who learns again."""

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from prefect.client.orchestration import get_client

from commands.federation import federate
from data.readers import read_columns
from data.sources import read_arrival
from deployments.adoption import open_packed
from deployments.federation import FederationFile
from deployments.federation_files import load_model
from deployments.scoring import OnnxModel
from learning.continuous import ContinuousLearningSystem

FEDERATION = """
name: lines
data: {target: defect, timestamp: time}
model: {architecture: mlp, hidden_units: [16], dropout: 0.0}
training: {batch_size: 32, learning_rate: 0.005}
federation: {rounds: 2}
nodes:
  east: {source: east}
  north: {source: north}
  south: {source: south}
"""


@pytest.fixture(scope="module")
def lines(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three lines after their first federation; not to be changed."""
    from data.synthetic import glass_line

    folder = tmp_path_factory.mktemp("lines")
    (folder / "lines.yaml").write_text(FEDERATION)
    for seed, name in enumerate(("east", "north", "south")):
        (folder / name).mkdir()
        for file, frame, _ in glass_line(batches=1, rows=600, seed=seed):
            frame.write_csv(folder / name / file, datetime_format="%Y-%m-%d %H:%M:%S")
    (folder / "first.json").write_text(json.dumps(federate(folder / "lines.yaml", home=folder / "home")))
    return folder


def copied(lines: Path, tmp_path: Path) -> Path:
    import shutil

    shutil.copytree(lines, tmp_path / "lines")
    return tmp_path / "lines"


def deliver(folder: Path, name: str, shift: float) -> None:
    """Another week of a line, as it was but for one sensor."""
    (first,) = (folder / name).glob("*.csv")
    frame = pl.read_csv(first).tail(300)
    moved = frame.with_columns(pl.col("lehr_1_c") + shift if "lehr_1_c" in frame.columns else pl.nth(1) + shift)
    moved.write_csv(folder / name / "later.csv")


def test_all_learn_at_first_with_a_task_for_each_node_and_round(lines: Path) -> None:
    report: dict[str, Any] = json.loads((lines / "first.json").read_text())
    assert (report["action"], report["reason"]) == ("all", "nothing was learned together yet")
    (group,) = report["groups"]
    assert group["nodes"] == ["east", "north", "south"] and len(group["rounds"]) == 2
    with get_client(sync_client=True) as client:
        names = {run.name for run in client.read_task_runs(limit=200)}
    assert {f"train {n}, round {r}" for n in group["nodes"] for r in (1, 2)} <= names
    columns = read_columns(read_arrival(next((lines / "east").glob("*.csv"))))
    model = OnnxModel((lines / "home/federations/lines/model.onnx").read_bytes())
    rows = pl.read_csv(next((lines / "east").glob("*.csv"))).select(columns[1:-1]).fill_null(float("nan"))
    assert model.predict(rows.to_numpy().astype("float32")).shape == (600, len(group["plan"]["labels"]))


def test_a_nodes_model_holds_all_that_learning_goes_on_from(lines: Path) -> None:
    packed = open_packed((lines / "home/federations/lines/nodes/east/model.onnx").read_bytes())
    assert packed.config.name == "lines" and packed.config.task == "classification"
    assert packed.contents.holdout.height == 120 and len(packed.candidate.memory) == 480
    model = load_model(lines / "home/federations/lines/model.bin")
    assert model is not None and packed.contents.card["classes"] == model.classes


@pytest.mark.torture
def test_a_node_goes_on_from_its_model_with_its_own_rows(lines: Path, tmp_path: Path) -> None:
    path = tmp_path / "east.onnx"
    path.write_bytes((lines / "home/federations/lines/nodes/east/model.onnx").read_bytes())
    result = ContinuousLearningSystem(model_path=path).update_model(
        pl.read_csv(next((lines / "east").glob("*.csv"))).head(200)
    )
    assert result.version >= 1 and len(result.batches) == 1


def test_nobody_learns_while_nothing_moves_and_those_do_that_moved(lines: Path, tmp_path: Path) -> None:
    folder = copied(lines, tmp_path)
    home, file = folder / "home", folder / "lines.yaml"
    again = federate(file, home=home)
    assert (again["action"], again["groups"]) == ("none", [])
    before = (home / "federations/lines/nodes/north/model.onnx").read_bytes()
    deliver(folder, "east", 60.0)
    moved = federate(file, home=home)
    assert moved["action"] == "node" and [g["nodes"] for g in moved["groups"]] == [["east"]]
    assert (home / "federations/lines/nodes/north/model.onnx").read_bytes() == before
    assert federate(file, home=home)["action"] == "none"  # it has learned from what moved


def test_when_most_moved_the_same_way_all_learn(lines: Path, tmp_path: Path) -> None:
    folder = copied(lines, tmp_path)
    for name in ("east", "south"):
        deliver(folder, name, 60.0)
    report = federate(folder / "lines.yaml", home=folder / "home")
    assert report["action"] == "all" and "2 of 3 nodes moved the same way: east, south" in report["reason"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("rounds: 2", "rounds: 0"), "federation.rounds"),
        (("rounds: 2", "rouns: 2"), "did you mean 'rounds'"),
        (("east: {source: east}", "east: {}"), "nodes.east.source: is missing"),
        (("target: defect", "target: defects"), "nodes.east: data.target: there is no column 'defects'"),
    ],
)
def test_mistakes_are_named(lines: Path, tmp_path: Path, change: tuple[str, str], said: str) -> None:
    path = lines / f"{tmp_path.name}.yaml"
    path.write_text(FEDERATION.replace(*change))
    with pytest.raises(ValueError, match=said):
        file = FederationFile.load(path)
        file.read("east", lines)
