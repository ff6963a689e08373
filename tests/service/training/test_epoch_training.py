"""Trainings over real sockets, in real processes."""

import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from fastapi import FastAPI
from filelock import FileLock

from deployments.adoption import open_packed
from deployments.export import load_state
from deployments.scoring import OnnxModel
from deployments.settings import Settings
from learning.metrics import EpochMetrics
from service.app import create_app
from service.core import Core, make_core
from service.settings import ServiceSettings
from service.training.epoch_config import EpochTraining
from service.training.progress import history_of
from service.training.training_process import folder_of, model_of, train
from tests.service.conftest import Secrets, client_with, listening
from tests.service.plant import history_csv
from tests.service.training import guide

PLACE = "/api/v1/epoch-training"
ASKED: dict[str, Any] = {
    "name": "quality of line 3",
    "algorithm_type": "deep_learning",
    "model_type": "mlp",
    "hidden_units": [16],
    "feature_columns": ["heat", "speed"],
    "target_column": "quality",
}
LONG = {"epochs": 150, "early_stopping_patience": 150}


def send(client: httpx.Client, **changes: Any) -> dict[str, Any]:
    """A request to train on a file that was sent."""
    sent = client.post("/api/v1/files", params={"name": "h.csv"}, content=history_csv())
    return {**ASKED, "data_source": {"kind": "file", "file_id": sent.json()["file_id"]}, **changes}


def begin(client: httpx.Client, **changes: Any) -> str:
    answer = client.post(f"{PLACE}/start", json=send(client, **changes))
    assert answer.status_code == 200, answer.text
    return answer.json()["task_id"]


def progress(client: httpx.Client, task_id: str) -> dict[str, Any]:
    return client.get(f"{PLACE}/progress/{task_id}").json()["progress"]


def wait_for(what: Callable[[], bool], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.03)


def wait_for_epoch(client: httpx.Client, task_id: str, epoch: int) -> None:
    wait_for(lambda: progress(client, task_id)["current_epoch"] >= epoch)


def wait_for_state(client: httpx.Client, task_id: str, state: str) -> None:
    wait_for(lambda: progress(client, task_id)["training_state"] == state)


def new_app(home: Path) -> FastAPI:
    return create_app(make_core(Settings(home=home), ServiceSettings()))


def test_the_guides_scripts_run_as_they_are(
    address: str, admin: httpx.Client, secrets: Secrets, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guide, "BASE_URL", f"{address}{PLACE}")
    monkeypatch.setattr(guide, "TOKEN", secrets["train"])
    scheduler = {"type": "step", "step_size": 30, "gamma": 0.1}
    task_id = guide.start_training(
        send(admin, epochs=60, learning_rate_scheduler=scheduler, output_path="models/line-3", **{
            "batch_size": 32, "learning_rate": 0.001, "dropout_rate": 0.2, "early_stopping_patience": 60,
            "min_delta": 0.001,
        })
    )  # fmt: skip
    assert task_id.startswith("epoch_training_20")
    wait_for_epoch(admin, task_id, 3)
    assert guide.pause_training(task_id)
    wait_for_state(admin, task_id, "paused")
    stopped_at = progress(admin, task_id)["current_epoch"]
    assert guide.resume_training(task_id)
    assert guide.stream_training_progress(task_id) == list(range(1, 61))
    assert guide.monitor_training(task_id) == "completed"
    history = guide.get_history(task_id)
    assert [record["epoch"] for record in history] == list(range(1, 61))
    assert stopped_at < 60
    assert history[29]["learning_rate"] == pytest.approx(0.001)
    assert history[30]["learning_rate"] == pytest.approx(0.0001)
    assert progress(admin, task_id)["scores"]["accuracy"] > 0.8

    onnx = admin.get(f"{PLACE}/model/{task_id}").content
    assert (home / "exports" / "models" / "line-3" / f"{task_id}.onnx").read_bytes() == onnx
    good, bad = OnnxModel(onnx).predict(np.array([[930, 66], [870, 54]], np.float32))
    assert good[1] > 0.9 > 0.1 > bad[1]
    assert open_packed(onnx).contents.card["classes"] == ["bad", "good"]


@pytest.mark.torture
def test_pauses_restarts_and_kills_leave_the_weights_of_an_undisturbed_training(home: Path, secrets: Secrets) -> None:
    with listening(new_app(home)) as address, client_with(address, secrets["train"]) as client:
        disturbed = begin(client, **LONG)
        wait_for_epoch(client, disturbed, 2)
    # The service ended while the training ran: it goes on by itself.
    with listening(new_app(home)) as address, client_with(address, secrets["train"]) as client:
        before = progress(client, disturbed)["current_epoch"]
        wait_for_epoch(client, disturbed, before + 2)
        began = time.perf_counter()
        assert client.post(f"{PLACE}/pause/{disturbed}").status_code == 200
        wait_for_state(client, disturbed, "paused")
        assert time.perf_counter() - began < 2
        stopped = progress(client, disturbed)["current_epoch"]
    # It ended while the training was paused: it stays so.
    with listening(new_app(home)) as address, client_with(address, secrets["train"]) as client:
        time.sleep(0.3)
        assert progress(client, disturbed)["training_state"] == "paused"
        assert progress(client, disturbed)["current_epoch"] == stopped
        client.post(f"{PLACE}/resume/{disturbed}")
        wait_for_epoch(client, disturbed, stopped + 1)
        os.kill(child_of(disturbed), signal.SIGKILL)
        wait_for_state(client, disturbed, "completed")
    runs, settings = make_core(Settings(home=home), ServiceSettings()).runs, Settings(home=home)
    undisturbed = runs.create("undisturbed", runs.get(disturbed).config).id
    train_here(settings, undisturbed)
    first, second = (load_state(model_of(settings, run).read_bytes())[1] for run in (undisturbed, disturbed))
    assert all((first[name] == second[name]).all() for name in first)
    histories = [history_of(runs.events(run)) for run in (undisturbed, disturbed)]
    assert [r.val_loss for r in histories[0]] == [r.val_loss for r in histories[1]]
    assert [r.epoch for r in histories[1]] == list(range(1, 151))


def train_here(settings: Settings, run_id: str) -> None:
    """In this process."""
    folder_of(settings, run_id).mkdir(parents=True)
    train(settings, run_id)


def child_of(run_id: str) -> int:
    """The process that trains this run."""
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit() and (folder / "cmdline").is_file():
            words = (folder / "cmdline").read_bytes().split(b"\0")
            if run_id.encode() in words:
                return int(folder.name)
    raise AssertionError(f"nothing trains {run_id}")


def test_a_follower_that_reconnects_misses_nothing_and_hears_nothing_twice(admin: httpx.Client, core: Core) -> None:
    run = core.runs.create("followed", {"request": {"epochs": 40}}).id
    core.runs.desire(run, "pause")  # the test says what happens in it
    thread = threading.Thread(target=happen, args=(core, run))
    thread.start()
    ids: list[int] = []
    while True:
        headers = {"Last-Event-ID": str(ids[-1])} if ids else {}
        with admin.stream("GET", f"{PLACE}/stream-progress/{run}", headers=headers) as answer:
            if answer.status_code == 204:
                break
            assert answer.headers["Content-Type"].startswith("text/event-stream")
            heard = 0
            for line in answer.iter_lines():
                if line.startswith("id: "):
                    ids.append(int(line.removeprefix("id: ")))
                    heard += 1
                if heard == 7:
                    break
    thread.join()
    assert ids == list(range(1, 44))  # paused, running, forty epochs, completed
    assert admin.post(f"{PLACE}/pause/{run}").status_code == 409
    assert admin.post(f"{PLACE}/cancel/{run}").status_code == 409


def happen(core: Core, run: str) -> None:
    """Forty epochs of nothing, in a process at work as far as the service can see: otherwise it would pause the run."""
    metrics = EpochMetrics(1, 0.5, None, None, None, 0.1, 0.01).to_dict()
    wait_for(lambda: core.runs.get(run).state == "paused")
    with FileLock(folder_of(core.settings, run) / "lock"):
        core.runs.change_state(run, "running")
        for epoch in range(1, 41):
            payload = {"metrics": {**metrics, "epoch": epoch}, "total_epochs": 40, "best": None}
            core.runs.append(run, "epoch", payload)
            time.sleep(0.005)
        core.runs.change_state(run, "completed")


def test_a_cancelled_training_ends_without_a_model_and_one_that_waits_can_be_paused(admin: httpx.Client) -> None:
    running, waiting = begin(admin, **LONG), begin(admin, **LONG)
    assert running != waiting
    admin.post(f"{PLACE}/pause/{waiting}")
    wait_for_state(admin, waiting, "paused")
    wait_for_epoch(admin, running, 1)
    for task_id in (running, waiting):
        assert admin.post(f"{PLACE}/cancel/{task_id}").status_code == 200
        wait_for_state(admin, task_id, "cancelled")
        assert "no model" in admin.get(f"{PLACE}/model/{task_id}").json()["detail"]
    last = admin.get(f"{PLACE}/stream-progress/{running}").text.strip().splitlines()[-2:]
    assert '"type": "error", "training_state": "cancelled"' in "".join(last)


def test_a_training_that_cannot_be_done_fails_with_the_reason(admin: httpx.Client, core: Core) -> None:
    sent = admin.post("/api/v1/files", params={"name": "h.csv"}, content=b"heat,speed,quality\n1,2,good\n").json()
    asked = EpochTraining.model_validate({**ASKED, "data_source": {"kind": "file", "file_id": sent["file_id"]}})
    run = core.runs.create("short", {"request": asked.model_dump(mode="json"), "pipeline": None}, "elsewhere").id
    train_here(core.settings, run)
    failed = core.runs.get(run)
    assert failed.state == "failed"
    assert "nothing to learn in 1 rows" in str(failed.reason)


@pytest.mark.parametrize(
    ("changes", "status", "said"),
    [
        ({"data_source": {"kind": "file", "file_id": "0" * 64}}, 404, "send it to /api/v1/files first"),
        ({"data_source": {"kind": "feature_store", "pipeline": "nowhere"}}, 404, "there is no pipeline 'nowhere'"),
        ({"feature_columns": ["heat", "press"]}, 422, "feature_columns[1]: there is no column 'press'"),
        ({"target_column": "defect"}, 422, "target_column: there is no column 'defect'"),
        ({"output_path": "../../etc"}, 422, "must stay under"),
        ({"output_path": "/etc/cron.d/x.onnx"}, 422, "must stay under"),
        ({"output_path": "a\x00b"}, 422, "output_path"),
        ({"epochs": 0}, 422, "body.epochs"),
        ({"hidden_units": [10**9]}, 422, "hidden_units"),
        ({"model_type": "forest"}, 422, "model_type"),
        ({"pickle": "x"}, 422, "not permitted"),
    ],
)
def test_a_request_that_cannot_be_done_is_refused_with_the_reason(
    admin: httpx.Client, changes: dict[str, Any], status: int, said: str
) -> None:
    answer = admin.post(f"{PLACE}/start", json=send(admin, **changes))
    assert (answer.status_code, answer.headers["Content-Type"]) == (status, "application/problem+json")
    assert said in answer.json()["detail"]


@pytest.mark.parametrize(
    "body", ['{"learning_rate": NaN}', '{"learning_rate": 1e400}', "[" * 100_000, "{", "\xff", '"\\ud800"', "null"]
)
def test_a_body_that_is_no_request_is_refused(admin: httpx.Client, body: str) -> None:
    headers = {"Content-Type": "application/json"}
    answer = admin.post(f"{PLACE}/start", content=body.encode("latin-1"), headers=headers)
    assert answer.status_code in (400, 422)
    assert answer.headers["Content-Type"] == "application/problem+json"


@pytest.mark.parametrize("task_id", ["epoch_training_20240101_120000", "retraining_1", "..%2F..%2Fledger.db", "%00"])
def test_an_unknown_training_is_not_found(admin: httpx.Client, task_id: str) -> None:
    for method, name in [("GET", "progress"), ("GET", "history"), ("GET", "model"), ("GET", "stream-progress")]:
        assert admin.request(method, f"{PLACE}/{name}/{task_id}").status_code == 404
    for name in ("pause", "resume", "cancel"):
        assert admin.post(f"{PLACE}/{name}/{task_id}").status_code == 404
