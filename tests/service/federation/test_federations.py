"""A federation over real sockets: its service and its nodes are stopped and started again, and nothing changes."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import polars as pl
import pytest

from data.config import DataConfig
from deployments.federation_files import load_model
from deployments.federation_job import FederationJob, JobConfig
from deployments.federation_node import NodeProcess, open_client
from deployments.node_file import NodeFile
from deployments.settings import Settings
from learning.federated import FederatedLearningCoordinator
from learning.federation.results import FederatedModel
from service.app import create_app
from service.core import make_core, now
from service.security.tokens import make_token, tokens_path
from service.settings import ServiceSettings
from tests.learning.federation.plants import MODEL, TRAINING, plant
from tests.service.conftest import listening

NODES = ("east", "north", "south")
DATA = {"target": "label", "order": "none"}
PATH = "/api/v1/federations/lines"


def job(**federation: Any) -> dict[str, Any]:
    parts = {"model": MODEL.model_dump(mode="json"), "training": TRAINING.model_dump(mode="json")}
    return {"name": "lines", "nodes": list(NODES), **parts, "federation": {"rounds": 3, **federation}}


@pytest.fixture
def tables(tmp_path: Path) -> dict[str, Path]:
    """Each node's rows, and its file beside them."""
    files: dict[str, Path] = {}
    for seed, name in enumerate(NODES):
        folder = tmp_path / name
        folder.mkdir()
        readings, classes = plant(seed, 120)
        frame = pl.DataFrame(readings, schema=list("abcd")).with_columns(label=pl.Series(classes).cast(pl.String))
        frame.write_csv(folder / "rows.csv")
        text = "federation: lines\nsource: rows.csv\ntask: classification\ndata: {target: label, order: none}\n"
        (folder / "node.yaml").write_text(text)
        files[name] = folder / "node.yaml"
    return files


@pytest.fixture
def tokens(home: Path) -> dict[str, str]:
    made = {name: make_token(tokens_path(home), name, ["node"], None, now()) for name in (*NODES, "stranger")}
    return {**made, "trainer": make_token(tokens_path(home), "trainer", ["train"], None, now())}


def undisturbed(tables: dict[str, Path], rounds: int = 3, **federation: Any) -> FederatedModel:
    coordinator = FederatedLearningCoordinator(
        model=MODEL, training=TRAINING, federation=federation, data=DATA, task="classification"
    )
    return coordinator.coordinate_training({n: f.parent / "rows.csv" for n, f in tables.items()}, rounds)


def weights(model: FederatedModel | None) -> bytes:
    assert model is not None
    return b"".join(tensor.numpy().tobytes() for tensor in model.network.state_dict().values())


def process_of(name: str, tables: dict[str, Path], url: str, token: str, folder: Path) -> NodeProcess:
    """A node in this process, which takes one step at a time."""
    client = open_client(url, token)
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


def test_a_certificate_that_nobody_vouches_for_is_not_trusted(tmp_path: Path, tables: dict[str, Path]) -> None:
    import socket
    import ssl
    import threading

    key, certificate = self_signed(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)

    def greet(server: socket.socket) -> None:
        for answer in (None, b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n"):
            connection, _ = server.accept()
            with suppress(ssl.SSLError, ConnectionError), context.wrap_socket(connection, server_side=True) as secured:
                secured.recv(4096)
                secured.sendall(answer or b"")

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=greet, args=[server], daemon=True)
        thread.start()
        url = f"https://127.0.0.1:{server.getsockname()[1]}"
        with pytest.raises(ValueError, match="certificate is not to be trusted"):
            process_of("east", tables, url, "t", tmp_path).step()
        trusting = NodeProcess(
            NodeFile.load(tables["east"]),
            tables["east"].parent,
            open_client(url, "t", certificate),
            tmp_path,
            lambda _: None,
            time.monotonic,
            print,
        )
        assert trusting.step()
        thread.join(10)
    with pytest.raises(ValueError, match="holds no certificates"):
        open_client(url, "t", key.with_name("nowhere.pem"))
    with pytest.raises(ValueError, match="is no URL of a service"):
        open_client("ftp://plant", "t")


def self_signed(folder: Path) -> tuple[Path, Path]:
    import ipaddress
    from datetime import UTC, datetime, timedelta

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "plant")])
    began = datetime.now(UTC) - timedelta(days=1)
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1, began, began + timedelta(days=3))
    host = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    certificate = builder.add_extension(host, critical=False).sign(key, hashes.SHA256())
    plain = serialization.NoEncryption()
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
    (folder / "key.pem").write_bytes(pem)
    (folder / "certificate.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    return folder / "key.pem", folder / "certificate.pem"


@pytest.mark.torture
@pytest.mark.timeout(600)
def test_processes_are_killed_and_the_result_is_the_undisturbed_one(
    home: Path, tables: dict[str, Path], tokens: dict[str, str], tmp_path: Path
) -> None:
    """A service and three nodes, each a process: one node and the service get SIGKILL in the midst, and start again."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    root = Path(__file__).parents[3]
    environment = {**os.environ, "PYTHONPATH": str(root), "OMP_NUM_THREADS": "1"}

    def start(*arguments: str, **more: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "lehr", *arguments]
        return subprocess.Popen(command, cwd=tmp_path, env={**environment, **more}, stdout=subprocess.DEVNULL)

    def serve() -> subprocess.Popen[bytes]:
        served = start("serve", "--port", str(port), "--home", str(home))
        wait_until(lambda: asked(url, tokens["trainer"], "/v2/health/live") is not None)
        return served

    def take_part(name: str) -> subprocess.Popen[bytes]:
        file, own = str(tables[name]), str(tmp_path / "homes" / name)
        return start("node", file, "--url", url, "--home", own, LEHR_NODE_TOKEN=tokens[name])

    service = serve()
    nodes: dict[str, subprocess.Popen[bytes]] = {}
    try:
        headers = {"Authorization": f"Bearer {tokens['trainer']}"}
        long = job(secure=True, local_epochs=40)
        assert httpx.post(f"{url}/api/v1/federations", json=long, headers=headers).status_code == 201
        nodes = {name: take_part(name) for name in NODES}
        wait_until(lambda: (asked(url, tokens["trainer"], PATH) or {}).get("round") == 1)
        nodes["north"].send_signal(signal.SIGKILL)
        nodes["north"].wait()
        nodes["north"] = take_part("north")
        wait_until(lambda: (asked(url, tokens["trainer"], PATH) or {}).get("round") == 2)
        service.send_signal(signal.SIGKILL)
        service.wait()
        service = serve()
        wait_until(lambda: (asked(url, tokens["trainer"], PATH) or {}).get("state") == "completed")
        assert {name: process.wait(120) for name, process in nodes.items()} == dict.fromkeys(NODES, 0)
    finally:
        for process in (service, *nodes.values()):
            process.kill()
            process.wait()
    found = load_model(home / "federation-jobs" / "lines" / "model.bin")
    assert weights(found) == weights(undisturbed(tables, secure=True, local_epochs=40))
    assert (tmp_path / "homes/east/nodes/lines/model.onnx").exists()


def asked(url: str, token: str, path: str) -> dict[str, Any] | None:
    try:
        return json.loads(httpx.get(url + path, headers={"Authorization": f"Bearer {token}"}, timeout=5).content)
    except httpx.TransportError:
        return None


def wait_until(it_holds: Callable[[], bool], seconds: float = 180) -> None:
    ends = time.monotonic() + seconds
    while not it_holds():
        assert time.monotonic() < ends, "it took too long"
        time.sleep(0.1)


def free_port() -> int:
    import socket

    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        return bound.getsockname()[1]
