from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from tests.service.plant import Plant

LINE = "/api/v1/pipelines/line"


@pytest.fixture
def client(client_of: Callable[[str], httpx.Client]) -> httpx.Client:
    return client_of("predict")


def test_decisions_come_with_their_reasons_the_newest_first(client: httpx.Client, plant: Plant) -> None:
    plant.ledger.promote("line", 1, 2, None, "rolled back: line 3 complains")
    back, third, second, first = client.get(f"{LINE}/decisions").json()["decisions"]
    assert (back["kind"], back["reason"], back["champion"]) == ("rollback", "line 3 complains", 1)
    assert (third["batch"], third["verdict"], third["promoted"]) == (3, "refused", False)
    assert (second["reason"], second["verdict"], second["promoted"], second["champion"]) == (
        "reason 2",
        "passed",
        True,
        2,
    )
    assert first["checks"] == [{"name": "threshold", "passed": True, "text": "0.7"}]
    assert [d["batch"] for d in client.get(f"{LINE}/decisions?limit=2").json()["decisions"]] == [None, 3]


def test_scores_name_the_champion_of_each_batch(client: httpx.Client) -> None:
    answer = client.get(f"{LINE}/scores").json()
    assert (answer["metric"], answer["better"]) == ("accuracy", "higher")
    assert [(s["batch"], s["score"], s["champion"]) for s in answer["scores"]] == [
        (1, 0.7, 1),
        (2, 0.8, 2),
        (3, 0.75, 2),
    ]
    assert [s["batch"] for s in client.get(f"{LINE}/scores?limit=1").json()["scores"]] == [3]


def test_drift_is_told_for_each_sensor(client: httpx.Client) -> None:
    answer = client.get(f"{LINE}/drift").json()
    assert (answer["batch"], answer["drifted"]) == (3, True)
    heat, speed = answer["channels"]
    assert (heat["name"], heat["drifts"], heat["ratio"]) == ("heat", True, 2.0)
    assert (speed["name"], speed["drifts"], speed["ratio"]) == ("speed", False, 0.1)
    assert heat["distances"][0] == {"batch": 1, "distance": 2.0, "threshold": 3.0}


def test_figures_are_those_of_the_report(client: httpx.Client) -> None:
    plots = client.get(f"{LINE}/plots").json()
    assert plots["scores"]["data"][0]["y"] == [0.7, 0.8, 0.75]
    assert plots["drift"]["data"][0]["y"] == ["heat", "speed"]


def test_a_pipeline_without_any_batch_has_nothing_to_tell(client: httpx.Client, tmp_path: Path, home: Path) -> None:
    assert client.get("/api/v1/pipelines/nowhere/decisions").status_code == 404
    assert "there are line" in client.get("/api/v1/pipelines/nowhere/drift").json()["detail"]


def test_a_token_is_told_what_it_may_do(client: httpx.Client) -> None:
    assert client.get("/api/v1/token").json() == {"name": "predict", "roles": ["predict"], "expires": None}
