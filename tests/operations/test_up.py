"""One plant's day, in order: each test goes on where the one before it ended."""

import json
import os
import signal
import subprocess
import time
import urllib.error
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from deployments.definitions import FLOWS
from tests.operations.plant import Plant, lehr, until

pytestmark = pytest.mark.timeout(900)


def test_every_deployment_is_there_with_its_schedule(plant: Plant) -> None:
    found = {d["name"]: d for d in plant.call("POST", "/deployments/filter", {}) if d["name"] == "fleet"}
    for flow in FLOWS:
        found[flow] = plant.call("GET", f"/deployments/name/{flow}/line")
    assert found["learn-continuously"]["schedules"][0]["schedule"]["cron"] == "0 3 * * *"
    assert found["watch-drift"]["schedules"][0]["schedule"]["interval"] == 60.0
    assert all(d["concurrency_options"]["collision_strategy"] == "ENQUEUE" for d in found.values())
    automations = {a["name"] for a in plant.call("POST", "/automations/filter", {})}
    assert "lehr: a run without a heartbeat has crashed" in automations
    assert "up, process" in lehr("status", "--home", str(plant.home))


def test_the_form_refuses_bad_values(plant: Plant) -> None:
    for wrong, said in (({"epochs": -3}, b"minimum of 1"), ({"strategy": "magic"}, b"half_lives")):
        with pytest.raises(urllib.error.HTTPError) as refused:
            plant.start("retrain", **wrong)
        assert refused.value.code == 409
        assert said in refused.value.read()


def test_the_loop_takes_what_waits(plant: Plant) -> None:
    plant.drop(plant.batches[0])
    run = plant.ended(plant.start("learn-continuously"))
    assert (run["state_type"], run["name"]) == ("COMPLETED", "learn line"), run["state"]
    assert [file.name for file in (plant.inbox / "taken").iterdir()] == ["line-01.csv"]
    assert "there is no champion yet" in plant.journal()
    artifacts = plant.call("POST", "/artifacts/latest/filter", {})
    assert {"validation-line", "mlflow-line"} <= {artifact["key"] for artifact in artifacts}


@pytest.mark.operations
def test_a_person_approves_and_refuses(plant: Plant) -> None:
    _drop(plant, plant.batches[1])
    for answer, word in ((False, "refused"), (True, "approved")):
        run_id = plant.start("retrain", reason=f"to be {word}", require_approval=True, approval_minutes=5)
        assert plant.ended(run_id)["state_type"] == "PAUSED"
        incomplete = plant.call("POST", f"/flow_runs/{run_id}/resume", {"run_input": {"approve": answer}})
        assert incomplete["status"] == "REJECT"
        given = {"run_input": {"approve": answer, "reason": "it looks fine"}}
        assert plant.call("POST", f"/flow_runs/{run_id}/resume", given)["status"] == "ACCEPT"
        plant.ended(run_id, ("COMPLETED", "FAILED"))
        assert (f"to be {word}" in plant.journal()) is answer
        if not answer:
            _drop(plant, plant.batches[2])
    assert "approved: it looks fine" in plant.journal()


@pytest.mark.operations
def test_drift_starts_one_retrain(plant: Plant) -> None:
    before = len(plant.runs_of("retrain"))
    _drop(plant, plant.batches[4])  # the first of another product
    started = until(lambda: plant.runs_of("retrain")[before:] or None)
    run = plant.ended(started[0]["id"])
    assert run["state_type"] == "COMPLETED", run["state"]
    assert "drifted" in run["parameters"]["reason"]
    events = plant.events("lehr.drift.detected")
    assert [event["payload"]["run_key"] for event in events] == [run["parameters"]["run_key"]]
    time.sleep(8)
    assert len(plant.runs_of("retrain")) == before + 1


@pytest.mark.operations
def test_a_killed_run_is_followed_by_one_that_finishes(plant: Plant) -> None:
    before = len(plant.runs_of("retrain"))
    run_id = plant.start("retrain", action="retrain", reason="to be killed", epochs=6_000)
    process = until(lambda: plant.process_of(run_id))
    until(lambda: plant.progress_of(run_id))
    os.kill(process, signal.SIGKILL)
    assert plant.ended(run_id)["state_type"] == "CRASHED"
    followed = until(lambda: plant.runs_of("retrain")[before + 1 :] or None)
    assert followed[0]["parameters"]["run_key"] == run_id
    assert plant.ended(followed[0]["id"])["state_type"] == "COMPLETED"


@pytest.mark.operations
@pytest.mark.parametrize(("flow", "asked"), [("retrain", {"action": "retrain"}), ("train-model", {})])
def test_a_cancelled_training_ends_at_once_and_nothing_goes_live(
    plant: Plant, flow: str, asked: dict[str, Any]
) -> None:
    before, runs = plant.journal(), len(plant.runs_of(flow))
    run_id = plant.start(flow, epochs=10_000, **asked)
    process = until(lambda: plant.process_of(run_id))
    until(lambda: plant.progress_of(run_id))
    plant.call("POST", f"/flow_runs/{run_id}/set_state", {"state": {"type": "CANCELLING"}})
    asked_at = time.monotonic()
    assert plant.ended(run_id)["state_type"] == "CANCELLED"
    assert time.monotonic() - asked_at < 10
    assert not Path(f"/proc/{process}").exists()
    assert plant.journal() == before
    time.sleep(5)
    assert len(plant.runs_of(flow)) == runs + 1, "nobody takes it up again"


@pytest.mark.operations
def test_the_schedule_fires_by_itself(plant: Plant) -> None:
    body = {"flows": {"name": {"any_": ["watch-drift"]}}, "flow_runs": {"state": {"type": {"any_": ["SCHEDULED"]}}}}
    body |= {"sort": "EXPECTED_START_TIME_ASC", "limit": 1}
    (due,) = until(lambda: plant.call("POST", "/flow_runs/filter", body) or None)
    assert due["auto_scheduled"] and due["start_time"] is None
    ended = plant.ended(due["id"])
    assert ended["state_type"] == "COMPLETED", ended["state"]
    late = datetime.fromisoformat(ended["start_time"]) - datetime.fromisoformat(due["expected_start_time"])
    assert timedelta(seconds=-10) < late < timedelta(seconds=60), "Prefect's runner looks ten seconds ahead"


@pytest.mark.operations
def test_a_person_rolls_back(plant: Plant) -> None:
    run = plant.ended(plant.start("roll-back", reason="line 3 complains", version=1))
    assert run["state_type"] == "COMPLETED", run["state"]
    assert "rolled back: line 3 complains" in plant.journal()
    assert len(plant.events("lehr.version.rolled-back")) == 1


@pytest.mark.operations
def test_what_has_come_is_backtested(plant: Plant) -> None:
    run = plant.ended(plant.start("backtest-policy", price_training=2))
    assert run["state_type"] == "COMPLETED", run["state"]
    found = {a["key"]: a for a in plant.call("POST", "/artifacts/latest/filter", {}) if a["key"]}
    assert "served best" in found["backtest-line"]["data"]
    assert "pipeline" in [row["policy"] for row in json.loads(found["policies-line"]["data"])]


def test_a_second_one_is_refused(plant: Plant) -> None:
    with pytest.raises(subprocess.CalledProcessError) as refused:
        lehr("up", str(plant.pipeline), "--home", str(plant.home))
    assert "is up already" in refused.value.stderr


def _drop(plant: Plant, batch: Path) -> None:
    """Put a batch into the inbox and have it watched."""
    plant.drop(batch)
    run = plant.ended(plant.start("watch-drift"))
    assert run["state_type"] == "COMPLETED", run["state"]
    assert (plant.inbox / "taken" / batch.name).exists()
