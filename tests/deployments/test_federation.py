"""`federate` without Prefect: where groups begin, where what they learned lies, and one process at a time."""

import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from filelock import FileLock

from commands import federation as command
from data.files import folder_name
from deployments.federation import federate
from deployments.federation_files import load_model
from deployments.settings import Settings
from learning.federation.messages import decode
from learning.federation.node import Node
from learning.federation.run import Answers, Ask, ask_in_turn
from learning.federation.sharing import SharedPart, Vector

FEDERATION = """
name: lines
data: {target: defect, timestamp: time}
model: {architecture: mlp, hidden_units: [8], dropout: 0.0}
training: {batch_size: 64, learning_rate: 0.005}
federation: {rounds: 1, local_epochs: 1}
nodes:
  nodes: {source: nodes}
  a-b: {source: a-b}
  c: {source: c}
"""


@pytest.fixture(scope="module")
def learned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three lines after their first federation, of which one alone has a sensor; not to be changed."""
    from data.synthetic import glass_line

    folder = tmp_path_factory.mktemp("lines")
    (folder / "lines.yaml").write_text(FEDERATION)
    for seed, name in enumerate(("nodes", "a-b", "c")):
        (folder / name).mkdir()
        for file, frame, _ in glass_line(batches=1, rows=400, seed=seed):
            known = frame if name == "c" else frame.drop("press_kpa")
            known.write_csv(folder / name / file, datetime_format="%Y-%m-%d %H:%M:%S")
    federate(folder / "lines.yaml", Settings(home=folder / "home"), ask_in_turn)
    return folder


@pytest.fixture
def lines(learned: Path, tmp_path: Path) -> Path:
    return shutil.copytree(learned, tmp_path / "lines")


def deliver(folder: Path, name: str, sensor: str, file: str) -> None:
    """Another week of a line, as it was but for one sensor."""
    first = min((folder / name).glob("*.csv"))
    pl.read_csv(first).tail(300).with_columns(pl.col(sensor) + 60.0).write_csv(folder / name / file)


def learn(folder: Path) -> tuple[dict[str, Any], list[Vector]]:
    """The report, and what weights the nodes were sent first."""
    sent: list[Vector] = []

    def ask(nodes: Mapping[str, Node]) -> Ask:
        def told(kind: str, number: int, questions: Mapping[str, bytes]) -> Answers:
            if kind == "train":
                sent.extend(decode(question).arrays["state"] for question in questions.values())
            return ask_in_turn(nodes)(kind, number, questions)

        return told

    return federate(folder / "lines.yaml", Settings(home=folder / "home"), ask), sent


def weights(folder: Path) -> Vector:
    model = load_model(folder / "model.bin")
    assert model is not None
    return SharedPart(model.network, []).read()


def test_a_group_that_moved_goes_on_from_what_it_learned_and_all_from_what_all_learned(lines: Path) -> None:
    place = lines / "home/federations/lines"
    deliver(lines, "nodes", "lehr_1_c", "later-1.csv")
    report, sent = learn(lines)
    (group,) = report["groups"]
    assert report["action"] == "node" and group["folder"] == str(place / "groups" / "nodes")
    assert np.array_equal(sent[0], weights(place)), "the first time from what all have learned"
    alone = weights(place / "groups" / "nodes")
    deliver(lines, "nodes", "mould_1_c", "later-2.csv")
    report, sent = learn(lines)
    assert report["action"] == "node" and np.array_equal(sent[0], alone) and not np.array_equal(alone, weights(place))
    for name in ("a-b", "c"):
        deliver(lines, name, "lehr_1_c", "later-3.csv")
    together = weights(place)
    report, sent = learn(lines)
    assert report["action"] == "all" and len(sent) == 3 and all(np.array_equal(one, together) for one in sent)


def test_groups_have_folders_of_their_own() -> None:
    assert (
        len({folder_name("+".join(group)) for group in (["a-b", "c"], ["a", "b-c"], ["a-b-c"], ["a", "b", "c"])}) == 4
    )
    many = [[f"plant-{number}" for number in range(count)] for count in (98, 99)]
    assert len({folder_name("+".join(group)) for group in many}) == 2
    assert all(len(folder_name("+".join(group))) < 120 for group in many)


def test_a_second_process_is_refused_by_the_federations_name(lines: Path) -> None:
    with (
        FileLock(lines / "home/federations/lines/lock"),
        pytest.raises(ValueError, match="another process is at work on the federation lines"),
    ):
        learn(lines)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("source: a-b", "source: nowhere"), "nodes.a-b: .*nowhere"),
        (("name: lines", "nam: lines"), "did you mean 'name'"),
    ],
)
def test_what_is_missing_is_named_before_a_flow_begins(
    lines: Path, monkeypatch: pytest.MonkeyPatch, change: tuple[str, str], said: str
) -> None:
    monkeypatch.setitem(sys.modules, "flows.run_federation", None)  # whoever wants it gets an ImportError
    (lines / "lines.yaml").write_text(FEDERATION.replace(*change))
    with pytest.raises(ValueError, match=said):
        command.federate(lines / "lines.yaml", home=lines / "home")
    with pytest.raises(ValueError, match=r"cannot read .*none\.yaml"):
        command.federate(lines / "none.yaml", home=lines / "home")
