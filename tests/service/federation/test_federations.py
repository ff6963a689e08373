"""A federation over real sockets: its service and its nodes are stopped and started again, and nothing changes."""

import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from data.config import DataConfig
from deployments.federation_files import load_model
from deployments.federation_job import FederationJob, JobConfig
from deployments.federation_node import NodeProcess, open_client
from deployments.node_file import NodeFile
from deployments.settings import Settings
from service.app import create_app
from service.core import make_core
from service.settings import ServiceSettings
from tests.service.conftest import listening
from tests.service.federation.lines import DATA, NODES, PATH, job, undisturbed, weights
from tests.service.federation.tls import tls_before


def process_of(
    name: str, tables: dict[str, Path], url: str, token: str, folder: Path, ca: Path | None = None
) -> NodeProcess:
    """A node in this process, which takes one step at a time."""
    client = open_client(url, token, ca)
    return NodeProcess(
        NodeFile.load(tables[name]), tables[name].parent, client, folder / name, lambda _: None, time.monotonic, print
    )


@pytest.mark.parametrize("secure", [False, True])
def test_both_sides_start_again_at_any_time_and_nothing_changes(
    home: Path, tables: dict[str, Path], tokens: dict[str, str], tmp_path: Path, secure: bool
) -> None:
    """After every step the node is thrown away, every few steps the service; the weights are the same to the bit."""
    steps, left = 0, set(NODES)
    while left:
        with listening(create_app(make_core(Settings(home=home), ServiceSettings()))) as url:
            if steps == 0:
                headers = {"Authorization": f"Bearer {tokens['trainer']}"}
                started = httpx.post(f"{url}/api/v1/federations", json=job(secure=secure, rounds=2), headers=headers)
                assert started.status_code == 201, started.text
            for _ in range(9):
                name = NODES[steps % 3]
                steps += 1
                if name in left and not process_of(name, tables, url, tokens[name], tmp_path / "nodes").step():
                    left.remove(name)
    assert steps > 18
    found = load_model(home / "federation-jobs" / "lines" / "model.bin")
    assert weights(found) == weights(undisturbed(tables, rounds=2, secure=secure))


def test_roles_states_and_what_comes_of_it(
    home: Path, tables: dict[str, Path], tokens: dict[str, str], tmp_path: Path
) -> None:
    with listening(create_app(make_core(Settings(home=home), ServiceSettings()))) as url:

        def call(who: str, method: str, path: str, **more: Any) -> httpx.Response:
            return httpx.request(method, url + path, headers={"Authorization": f"Bearer {tokens[who]}"}, **more)

        assert call("east", "GET", PATH).status_code == 404
        assert call("east", "POST", "/api/v1/federations", json=job()).status_code == 403
        wrong = call(
            "trainer", "POST", "/api/v1/federations", json={**job(), "nodes": ["a"], "federation": {"secure": True}}
        )
        assert wrong.status_code == 409 and "hides too little" in wrong.json()["detail"]
        assert call("trainer", "POST", "/api/v1/federations", json=job(rounds=1)).json()["state"] == "running"
        again = call("trainer", "POST", "/api/v1/federations", json=job())
        assert again.status_code == 409 and "is at work" in again.json()["detail"]
        assert call("stranger", "GET", f"{PATH}/question").status_code == 403
        assert call("trainer", "GET", f"{PATH}/question").status_code == 403
        assert call("east", "GET", f"{PATH}/model").status_code == 409
        broken = call("east", "POST", f"{PATH}/answers", content=b"\0" * 20)
        assert broken.status_code == 409 and "no message" in broken.json()["detail"]
        nodes = [process_of(name, tables, url, tokens[name], tmp_path / "nodes") for name in NODES]
        assert nodes[0].step()
        assert call("east", "GET", f"{PATH}/question").status_code == 204
        assert call("trainer", "GET", PATH).json()["waiting_for"] == ["north", "south"]
        left = list(nodes)
        while left:
            left = [node for node in left if node.step()]
        state = call("trainer", "GET", PATH).json()
        assert (state["state"], state["report"]["rounds"][0]["answered"]) == ("completed", list(NODES))
        assert state["report"]["offenders"] == {"east": "round 0: this is no message, or a broken one"}
        assert (
            call("trainer", "GET", f"{PATH}/model").content == (home / "federation-jobs/lines/model.onnx").read_bytes()
        )
        assert nodes[0].run() == tmp_path / "nodes" / "east" / "model.onnx"
        assert call("trainer", "POST", "/api/v1/federations", json=job()).status_code == 201
        assert call("trainer", "POST", f"{PATH}/cancel").json()["reason"] == "it was cancelled"
        assert call("east", "GET", f"{PATH}/question").status_code == 410
        assert len(call("east", "GET", "/api/v1/federations").json()["federations"]) == 1


def test_a_silent_node_is_waited_for_until_the_deadline(tmp_path: Path, tables: dict[str, Path]) -> None:
    from learning.federation.node import Node
    from learning.federation.sources import node_data

    clock = iter([float(second) for second in range(0, 1000, 20)])
    config = JobConfig.model_validate(job(rounds=1, deadline_seconds=50))
    started = FederationJob.start(tmp_path / "job", config, lambda: next(clock))
    data = DataConfig.model_validate(DATA)
    nodes = {n: Node(n, node_data(f.parent / "rows.csv", data, "classification")) for n, f in tables.items()}
    phases = 0
    while not started.over:
        for name in NODES[:2]:
            question = started.question_for(name)
            if question is not None:
                started.receive(name, nodes[name].answer(question))
        started.look()
        phases += 1
        assert phases < 60
    report = started.report()
    assert report is not None and report["rounds"][0]["asked"] == ["east", "north"]
    assert report["lost"] == [{"round": 0, "node": "south", "reason": "join: it was silent"}]


def test_a_certificate_that_nobody_vouches_for_is_not_trusted(
    home: Path, tables: dict[str, Path], tokens: dict[str, str], tmp_path: Path
) -> None:
    with (
        listening(create_app(make_core(Settings(home=home), ServiceSettings()))) as url,
        tls_before(httpx.URL(url).port or 0, tmp_path) as (secured, certificate),
    ):
        headers = {"Authorization": f"Bearer {tokens['trainer']}"}
        assert httpx.post(f"{url}/api/v1/federations", json=job(), headers=headers).status_code == 201
        with pytest.raises(ValueError, match="certificate is not to be trusted"):
            process_of("east", tables, secured, tokens["east"], tmp_path).step()
        assert process_of("east", tables, secured, tokens["east"], tmp_path, certificate).step()
        assert httpx.get(url + PATH, headers=headers).json()["waiting_for"] == ["north", "south"]
    with pytest.raises(ValueError, match="holds no certificates"):
        open_client(url, "t", certificate.with_name("nowhere.pem"))
    with pytest.raises(ValueError, match="is no URL of a service"):
        open_client("ftp://plant", "t")
