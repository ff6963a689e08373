"""What a person asks of the loop, of a real Prefect with the pipeline's real deployments."""

import threading
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from deployments.definitions import definitions
from deployments.line import read_line
from deployments.outcomes import Exported, Judged, Passed
from deployments.requests import open_request
from deployments.settings import Settings
from deployments.verdict import Check, Verdict
from service.app import create_app
from service.core import Core, make_core
from service.settings import ServiceSettings
from tests.service.conftest import Secrets, client_with, listening
from tests.service.operating.browsing import page_of, violations
from tests.service.plant import Plant, make_plant

LINE = "/api/v1/pipelines/line"


@pytest.fixture
def plant(tmp_path: Path, home: Path) -> Plant:
    plant = make_plant(tmp_path, home)
    for number in (1, 2):
        plant.finish(number, f"{number}.csv", 0.7 + number / 100, "rows")
    return plant


@pytest.fixture(scope="module")
def prefect_api(prefect_server: None) -> str:
    from prefect.settings import PREFECT_API_URL

    return str(PREFECT_API_URL.value())


@pytest.fixture
def deployed(prefect_api: str, plant: Plant) -> None:
    """The pipeline's deployments, as `lehr up` registers them."""
    from deployments.serving import _deployment  # pyright: ignore[reportPrivateUsage]

    for definition in definitions([plant.pipeline]):
        if definition.flow in ("retrain", "roll-back"):
            _deployment(definition).apply()


@pytest.fixture
def core(plant: Plant, home: Path, prefect_api: str, deployed: None) -> Core:
    return make_core(Settings(home=home), ServiceSettings(prefect_api=prefect_api), [plant.pipeline])


@pytest.fixture
def client(client_of: Callable[[str], httpx.Client]) -> httpx.Client:
    return client_of("promote")


class Worker:
    """Works on a run as far as the question to a person: with the flow's real step, and a verdict that is given."""

    def __init__(self, plant: Plant, run_id: str) -> None:
        self.answers: list[Any] = []
        self._plant, self._run_id = plant, run_id
        self._thread = threading.Thread(target=self._work)

    def __enter__(self) -> "Worker":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.join(60)
        assert not self._thread.is_alive()

    def _work(self) -> None:
        from prefect import flow
        from prefect.artifacts import create_progress_artifact
        from prefect.client.orchestration import get_client
        from prefect.flow_engine import run_flow_sync

        from tasks.approve import ask_approval

        line, run_id = read_line(self._plant.pipeline, Settings(home=self._plant.home)), self._run_id

        @flow(name="retrain")
        def as_far_as_the_question(reason: str) -> None:
            batch, _ = open_request(line.ledger, "line", run_id, {"reason": reason})
            for percent in (20.0, 40.0):
                create_progress_artifact(percent, description="learn")
            verdict = Verdict(True, (Check("threshold", 0.9, 0.6, True, "threshold: 0.9 accuracy"),))
            exported, judged = Exported(3, 0.0), Judged(verdict, 0.9, True, 2)
            for step, result in {"export:update": {"version": 3}, "judge:update": as_json(judged)}.items():
                line.ledger.record_step("line", batch.id, step, result)
            self.answers.append(ask_approval(line, batch, Passed("update", exported, judged), 1))

        with get_client(sync_client=True) as prefect:
            run = prefect.read_flow_run(uuid.UUID(run_id))
        run_flow_sync(as_far_as_the_question, flow_run=run, parameters={"reason": run.parameters["reason"]})


def as_json(judged: Judged) -> Any:
    from pydantic import TypeAdapter

    return TypeAdapter(Judged).dump_python(judged, mode="json")


def first_approval(client: httpx.Client) -> dict[str, Any]:
    from tests.service.training.test_epoch_training import wait_for

    wait_for(lambda: client.get(f"{LINE}/approvals").json()["approvals"] != [])
    return client.get(f"{LINE}/approvals").json()["approvals"][0]


def test_a_retrain_is_begun_once_under_its_key_and_told(client: httpx.Client) -> None:
    asked = {"reason": "new mould", "strategy": "replay", "epochs": 7, "require_approval": True}
    key = {"Idempotency-Key": uuid.uuid4().hex}
    first, second = [client.post(f"{LINE}/retrain", json=asked, headers=key) for _ in range(2)]
    assert (first.status_code, first.json()) == (202, second.json())
    (told,) = [run for run in client.get(f"{LINE}/runs").json()["runs"] if run["run_id"] == first.json()["run_id"]]
    assert (told["flow"], told["state"], told["reason"], told["at_work"]) == ("retrain", "Scheduled", "new mould", True)


def test_what_cannot_be_done_is_refused_before_a_run_is_made(client: httpx.Client) -> None:
    before = client.get(f"{LINE}/runs").json()["runs"]
    wrong = [
        ("retrain", {"epochs": -1}, 422, "epochs"),
        ("retrain", {"strategy": "magic"}, 422, "strategy"),
        ("retrain", {"reason": " "}, 422, "reason"),
        ("retrain", {"pipeline": "/etc/passwd"}, 422, "not permitted"),
        ("roll-back", {"reason": "x", "version": 2}, 409, "versions that were in production before: 1"),
        ("roll-back", {"version": 1}, 422, "reason"),
        (f"approvals/{uuid.uuid4()}", {"approve": True, "reason": "x"}, 404, "waits for an answer"),
        ("approvals/1", {"approve": True, "reason": "x"}, 422, "run_id"),
    ]
    for path, asked, status, said in wrong:
        answer = client.post(f"{LINE}/{path}", json=asked)
        assert (answer.status_code, said in answer.json()["detail"]) == (status, True), answer.text
    assert client.get(f"{LINE}/runs").json()["runs"] == before


def test_a_rollback_is_begun(client: httpx.Client) -> None:
    answer = client.post(f"{LINE}/roll-back", json={"reason": "line 3 complains", "version": 1})
    assert (answer.status_code, answer.json()["flow"]) == (202, "roll-back")


def test_a_person_refuses_over_http(client: httpx.Client, plant: Plant, core: Core) -> None:
    run_id = client.post(f"{LINE}/retrain", json={"reason": "to be refused"}).json()["run_id"]
    with Worker(plant, run_id) as worker:
        approval = first_approval(client)
        assert (approval["run_id"], approval["asked"], approval["batch"]) == (run_id, "to be refused", 2)
        assert (approval["version"], approval["champion"], approval["score"]) == (3, 2, 0.9)
        assert approval["checks"] == [{"name": "threshold", "passed": True, "text": "0.9 accuracy"}]
        assert core.loop.progress(core.loop.paused("line")) == {run_id: 40.0}
        given = client.post(f"{LINE}/approvals/{run_id}", json={"approve": False, "reason": "not today"})
        assert (given.status_code, given.json()["approve"]) == (200, False)
        assert client.post(f"{LINE}/approvals/{run_id}", json={"approve": True, "reason": "late"}).status_code == 404
    assert [(answer.approve, answer.reason) for answer in worker.answers] == [(False, "not today")]


def test_a_person_retrains_and_approves_on_the_page(
    browser: Any, address: str, secrets: Secrets, client: httpx.Client, plant: Plant
) -> None:
    with page_of(browser, address, secrets["promote"]) as page:
        page.get_by_role("button", name="Retrain…").click()
        dialog = page.get_by_role("dialog")
        dialog.get_by_label("Reason").fill("asked <b>on</b> the page")
        dialog.get_by_role("button", name="Retrain").click()
        page.get_by_text("A retrain of line was asked for.").wait_for()
        (run,) = [r for r in client.get(f"{LINE}/runs").json()["runs"] if r["reason"] == "asked <b>on</b> the page"]
        with Worker(plant, run["run_id"]) as worker:
            page.get_by_role("button", name="Approve…").click()
            dialog.get_by_label("Reason").fill("it looks fine")
            assert violations(page) == []
            dialog.get_by_role("button", name="Approve").click()
            page.get_by_text("version 3 of line was approved.").wait_for()
        assert [(answer.approve, answer.reason) for answer in worker.answers] == [(True, "it looks fine")]
        page.get_by_role("heading", name="Waits for a person").wait_for(state="hidden")


def test_where_the_loop_is_not_up_it_is_said_how_to_start_it(plant: Plant, home: Path, secrets: Secrets) -> None:
    nothing = "http://127.0.0.1:9/api"
    for api, status, said in ((None, 409, "lehr up"), (nothing, 503, nothing)):
        core = make_core(Settings(home=home), ServiceSettings(prefect_api=api), [plant.pipeline])
        with listening(create_app(core)) as address, client_with(address, secrets["promote"]) as client:
            for answer in (client.get(f"{LINE}/approvals"), client.post(f"{LINE}/retrain", json={})):
                assert (answer.status_code, said in answer.json()["detail"]) == (status, True)
