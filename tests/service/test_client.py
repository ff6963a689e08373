"""`Client` against a real service."""

import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from commands.remote import deliver
from deployments.settings import Settings
from learning.metrics import EpochMetrics
from lehr import Client, ServiceError
from service.app import create_app
from service.core import Core, make_core
from service.settings import ServiceSettings
from tests.service.conftest import Secrets, listening
from tests.service.inference.asking import wait_until
from tests.service.plant import history_csv, make_plant


@pytest.fixture
def core(tmp_path: Path, home: Path) -> Core:
    plant = make_plant(tmp_path, home)
    plant.deliver(1)
    plant.promote(0)
    return make_core(Settings(home=home), ServiceSettings(), [plant.pipeline])


@pytest.fixture
def client(core: Core, secrets: Secrets, monkeypatch: pytest.MonkeyPatch) -> Iterator[Client]:
    with listening(create_app(core)) as address:
        monkeypatch.setenv("LEHR_URL", address)
        monkeypatch.setenv("LEHR_TOKEN", secrets["admin"])
        with Client() as client:
            yield client


def test_files_deliveries_and_predictions(client: Client, tmp_path: Path) -> None:
    path = tmp_path / "h.csv"
    path.write_bytes(history_csv(seed=8))
    sent = client.files.send(path)
    assert client.files.describe(sent["file_id"]) == sent
    client.files.remove(sent["file_id"])
    with pytest.raises(ServiceError, match="there is no file") as refused:
        client.files.describe(sent["file_id"])
    assert (refused.value.status, refused.value.problem["title"]) == (404, "Not Found")

    delivered = [client.pipelines.deliver("line", path, key="1") for _ in range(2)]
    assert delivered[0] == delivered[1]
    assert client.pipelines.batch("line", delivered[0]["batch_id"])["state"] == "waiting"
    with pytest.raises(ServiceError, match=r"data\.key"):
        client.pipelines.deliver_labels("line", path)
    (pipeline,) = client.pipelines.all()
    assert (pipeline["name"], pipeline["champion"], pipeline["waiting"]) == ("line", 1, 1)

    assert client.pipelines.describe("line")["parameters"]["features"] == ["heat", "speed"]
    found = client.predict("line", [[930, 66], [870, 54]])
    assert (found.labels, found.version, found.outputs.shape) == (["good", "bad"], 1, (2, 2))
    assert client.predict("line", [[930, np.nan]], version=1, allow_missing=True).labels is not None
    with pytest.raises(ServiceError, match="allow_missing"):
        client.predict("line", [[930, np.nan]])


def test_what_turned_out_to_be_true_is_told_by_receipt(
    client: Client, core: Core, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    answered = client.predict("line", [[930, 66], [870, 54]])
    request, _ = answered.receipt_id.split("-")
    wait_until(lambda: core.ledger.prediction(request) is not None)
    told = client.pipelines.tell_labels("line", {answered.receipt_id: "good"})
    assert [(score["version"], score["metrics"]["accuracy"]) for score in told["scores"]] == [(1, 1.0)]
    file = tmp_path / "labels.csv"
    file.write_text(f"prediction_id,quality\n{request}-1,good\n{request}-2,ugly\n")
    with pytest.raises(ValueError, match="its classes are bad, good"):
        deliver("line", file, labels=True)
    deliver("line", file, labels=True, new_classes=True)
    said = " ".join(capsys.readouterr().out.split())
    assert "1 known before" in said
    assert "labels that a version does not know: ugly" in said
    deliver("line", file)
    assert "waiting: " in capsys.readouterr().out


def test_trainings_are_started_steered_and_followed(client: Client, core: Core, tmp_path: Path) -> None:
    core.trainings._at_once = 0  # pyright: ignore[reportPrivateUsage]  # the test says what happens in it
    path = tmp_path / "h.csv"
    path.write_bytes(history_csv())
    source = {"kind": "file", "file_id": client.files.send(path)["file_id"]}
    columns = {"feature_columns": ["heat", "speed"], "target_column": "quality", "data_source": source}
    run = client.trainings.start(name="line 3", epochs=3, **columns)
    assert client.trainings.pause(run)["task_id"] == run
    assert client.trainings.resume(run)["task_id"] == run
    threading.Timer(0.2, happen, (core, run)).start()
    events = list(client.trainings.follow(run))
    assert [e["type"] for e in events if e["type"] != "state"] == ["progress", "progress", "complete"]
    assert client.trainings.progress(run)["current_epoch"] == 2
    assert [epoch["epoch"] for epoch in client.trainings.history(run)] == [1, 2]
    with pytest.raises(ServiceError, match="is completed"):
        client.trainings.cancel(run)
    with pytest.raises(ServiceError):
        client.trainings.save_model(run, tmp_path / "m.onnx")
    assert not list(tmp_path.glob("m.onnx*"))


def happen(core: Core, run: str) -> None:
    metrics = EpochMetrics(1, 0.5, None, None, None, 0.1, 0.01).to_dict()
    core.runs.change_state(run, "running")
    for epoch in (1, 2):
        core.runs.append(run, "epoch", {"metrics": {**metrics, "epoch": epoch}, "total_epochs": 3, "best": None})
    core.runs.change_state(run, "completed")


def test_a_service_that_is_not_there_is_one_kind_of_error() -> None:
    with Client("http://127.0.0.1:9", "x") as client, pytest.raises(ServiceError) as unreached:
        client.jobs.all()
    assert unreached.value.status == 0
