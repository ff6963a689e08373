import gzip
import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from data.inbox import waiting
from deployments.settings import Settings
from service.app import create_app
from service.core import make_core, now
from service.ingestion import deliveries
from service.security.idempotency import forget_old_keys
from service.settings import ServiceSettings
from tests.service.conftest import Secrets, client_with, listening
from tests.service.plant import Plant, history_csv, make_plant

BATCHES = "/api/v1/pipelines/line/batches"


@pytest.fixture
def pipelines(plant: Plant) -> list[Path]:
    return [plant.pipeline]


@pytest.fixture
def client(client_of: Callable[[str], httpx.Client]) -> httpx.Client:
    return client_of("ingest")


def deliver(client: httpx.Client, number: int, **more: Any) -> httpx.Response:
    content = history_csv(50, seed=number)
    return client.post(BATCHES, params={"filename": f"{number}.csv"}, content=content, **more)


def test_batches_wait_in_the_inbox_in_order_of_arrival_each_once(client: httpx.Client, home: Path) -> None:
    answers = [deliver(client, number) for number in (3, 1, 2, 1)]
    assert [answer.status_code for answer in answers] == [202] * 4
    assert [answer.json()["state"] for answer in answers] == ["waiting", "waiting", "waiting", "known"]
    files = waiting(home / "line" / "inbox")
    assert [file.read_bytes() for file in files] == [history_csv(50, seed=number) for number in (3, 1, 2)]
    assert sorted(path.name for path in (home / "line" / "inbox").iterdir()) == [file.name for file in files]
    batch_id = hashlib.sha256(files[0].read_bytes()).hexdigest()
    state = client.get(f"{BATCHES}/{batch_id}").json()
    assert (state["batch_id"], state["state"]) == (batch_id, "waiting")
    assert client.get(f"{BATCHES}/{'0' * 64}").status_code == 404


def test_what_the_loop_has_is_known_and_what_became_of_it_is_told(client: httpx.Client, plant: Plant) -> None:
    batch_id = plant.deliver(1)
    assert client.get(f"{BATCHES}/{batch_id}").json()["state"] == "at work"
    content = history_csv(200, seed=1)
    again = client.post(BATCHES, params={"filename": "again.csv"}, content=content).json()
    assert (again["state"], again["batch_id"]) == ("known", batch_id)
    plant.ledger.record_step("line", batch_id, "finish", {"status": "quarantined", "reason": "a unit changed"})
    told = client.get(f"{BATCHES}/{batch_id}").json()
    assert (told["state"], told["reason"], told["number"]) == ("quarantined", "a unit changed", 1)


def test_a_request_is_done_once_under_its_key(client: httpx.Client, home: Path) -> None:
    key = {"Idempotency-Key": "7f3a"}
    first, second = deliver(client, 1, headers=key), deliver(client, 1, headers=key)
    assert first.json() == second.json()
    assert first.json()["state"] == "waiting"
    other = deliver(client, 2, headers=key)
    assert other.status_code == 422
    assert "Idempotency-Key" in other.json()["detail"]
    assert len(waiting(home / "line" / "inbox")) == 1
    forget_old_keys(home, now())
    assert len(list((home / "idempotency").iterdir())) == 1
    forget_old_keys(home, now().replace(year=now().year + 1))
    assert list((home / "idempotency").iterdir()) == []


def test_labels_need_a_key(client: httpx.Client, home: Path) -> None:
    answer = client.post(
        "/api/v1/pipelines/line/labels", params={"filename": "l.csv"}, content=b"time,quality\n1,good\n"
    )
    assert answer.status_code == 409
    assert "data.key" in answer.json()["detail"]
    assert waiting(home / "line" / "inbox") == []


def test_labels_wait_like_batches(tmp_path: Path, secrets: Secrets) -> None:
    home = tmp_path / "home"
    plant = make_plant(tmp_path, home, key="part")
    core = make_core(Settings(home=home), ServiceSettings(), [plant.pipeline])
    with listening(create_app(core)) as address, client_with(address, secrets["ingest"]) as client:
        place, labels = "/api/v1/pipelines/line/labels", gzip.compress(b"part,quality\n7,good\n")
        assert client.post(place, params={"filename": "l.csv.gz"}, content=labels).status_code == 202
        wrong = client.post(place, params={"filename": "l.csv"}, content=b"part,heat,quality\n7,1,good\n")
    assert wrong.status_code == 422
    assert "needs the columns part, quality" in wrong.json()["detail"]
    assert [file.read_bytes() for file in waiting(home / "line" / "inbox")] == [labels]


def test_who_delivers_faster_than_the_loop_learns_is_told_to_wait(
    client: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deliveries, "MOST_WAITING", 2)
    assert [deliver(client, number).status_code for number in (1, 2, 3)] == [202, 202, 429]
    assert deliver(client, 3).headers["Retry-After"] == "60"


def test_an_unknown_pipeline_takes_nothing(client: httpx.Client) -> None:
    for path in ("nowhere", "..%2F..%2Fetc", "%00"):
        answer = client.post(f"/api/v1/pipelines/{path}/batches", params={"filename": "1.csv"}, content=b"a\n1\n")
        assert answer.status_code == 404


def test_pipelines_say_where_they_stand(client: httpx.Client, plant: Plant) -> None:
    plant.deliver(1)
    plant.promote(0)
    deliver(client, 5)
    (state,) = client.get("/api/v1/pipelines").json()["pipelines"]
    assert (state["name"], state["champion"], state["batches"], state["waiting"]) == ("line", 1, 1, 1)


def test_prometheus_is_told(client: httpx.Client, plant: Plant) -> None:
    plant.deliver(1)
    plant.promote(0)
    deliver(client, 1)
    client.get("/made-up-by-a-client")
    text = client.get("/metrics").text
    assert 'lehr_champion_version{pipeline="line"} 1.0' in text
    assert 'lehr_deliveries_waiting{pipeline="line"} 1.0' in text
    assert 'lehr_requests_total{method="POST",route="/api/v1/pipelines/{name}/batches",status="202"} 1.0' in text
    assert 'lehr_requests_total{method="other",route="none",status="404"} 1.0' in text


def test_a_token_has_a_quota(home: Path, secrets: Secrets) -> None:
    core = make_core(Settings(home=home), ServiceSettings(requests_per_minute=3))
    with listening(create_app(core)) as address, client_with(address, secrets["ingest"]) as client:
        statuses = [client.get("/v2/health/live").status_code for _ in range(5)]
        refused = client.get("/v2/health/live")
        with client_with(address, secrets["train"]) as other:
            assert other.get("/v2/health/live").status_code == 200
    assert statuses == [200, 200, 200, 429, 429]
    assert 1 <= int(refused.headers["Retry-After"]) <= 20
    assert refused.json()["title"] == "Too Many Requests"
