"""Inputs that nobody means well with, to a service in a process of its own: each is refused with a reason.

Afterwards nothing was executed, written outside the home, or lost; memory stayed bounded; and the service answers.
"""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import httpx
import numpy as np
import pytest

from data.inbox import waiting
from service.core import now
from service.security.tokens import make_token, tokens_path
from tests.service.conftest import client_with
from tests.service.inference.test_open_inference import INFER, body
from tests.service.plant import history_csv, make_plant
from tests.service.security.hostile import Http, cases
from tests.service.security.hostile_models import hostile_models
from tests.service.security.hostile_wires import Raw
from tests.service.test_server import ROOT, free_port, wait_until_live

LATER = {"state of another network", "a card of NaN"}
"""Models that only the job's own process opens, apart from all else; it refuses them as `test_hostile_models` shows."""
CASES = cases({name: model for name, model in hostile_models().items() if name not in LATER})
MOST_GROWTH = 150 * 2**20
"""Of the service's memory over all cases; the bombs among them would unpack to thirty times as much."""
LIMITS = {"MAX_DATA_BYTES": 4_000_000, "MAX_UNPACKED_BYTES": 16_000_000, "MAX_TENSOR_BYTES": 1_000_000}
PATIENCE = {"BODY_SECONDS": 0.4, "HEAD_SECONDS": 0.4}


@dataclass(frozen=True)
class Service:
    """A service that runs: its home, its process, and how much memory it had before anything was sent."""

    home: Path
    process: int
    port: int
    token: str
    before: int

    @property
    def memory(self) -> int:
        """Bytes in RAM."""
        pages = int(Path(f"/proc/{self.process}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("hostile")
    home, port = folder / "home", free_port()
    plant = make_plant(folder, home)
    plant.deliver(1)
    plant.promote(0)
    token = make_token(tokens_path(home), "mallory", ["admin"], None, now())
    limits = {f"LEHR_SERVE_{name}": str(value) for name, value in (LIMITS | PATIENCE).items()}
    environment = {**os.environ, **limits, "LEHR_HOME": str(home), "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(ROOT / "lehr.py"), "serve", str(plant.pipeline), "--port", str(port)]
    with (folder / "log.txt").open("wb") as log:
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=log)
    with client_with(f"http://127.0.0.1:{port}", token) as client:
        wait_until_live(client)
        client.post(INFER, json=body())
        client.post("/api/v1/pipelines/line/batches?filename=sound.csv", content=history_csv(50)).raise_for_status()
    service = Service(home, process.pid, port, token, 0)
    yield Service(home, process.pid, port, token, service.memory)
    process.terminate()
    process.wait(20)


@pytest.fixture(scope="module")
def client(service: Service) -> Iterator[httpx.Client]:
    with client_with(f"http://127.0.0.1:{service.port}", service.token) as client:
        yield client


@pytest.mark.parametrize("name", CASES)
def test_it_is_refused_with_a_reason(name: str, service: Service, client: httpx.Client) -> None:
    case = CASES[name]
    status, said = over_http(case, client) if isinstance(case, Http) else over_a_socket(case, service)
    assert status in case.status, said
    assert case.said in said
    assert status in (0, 200) or '"detail"' in said, "every refusal is a problem"


def over_http(case: Http, client: httpx.Client) -> tuple[int, str]:
    headers = [
        (name.encode(), value.encode() if isinstance(value, str) else value) for name, value in case.headers.items()
    ]
    answer = client.request(case.method, case.path, content=case.content, headers=headers, files=case.files)
    return answer.status_code, answer.text


def over_a_socket(case: Raw, service: Service) -> tuple[int, str]:
    """The first answer's status and all that came; 0 where the connection was closed without one."""
    with socket.create_connection(("127.0.0.1", service.port), timeout=10) as connection:
        with suppress(ConnectionResetError, BrokenPipeError):  # it may be refused before all of it is there
            connection.sendall(case.sent.replace(b"{token}", service.token.encode()))
        received = b""
        with suppress(ConnectionResetError):
            while b'"}' not in received and (piece := connection.recv(65536)):
                received += piece
                if received.startswith(b"HTTP/1.1 200"):
                    break
    status = int(received[9:12]) if received.startswith(b"HTTP/1.1 ") else 0
    return status, received.decode(errors="replace")


def test_afterwards_nothing_was_run_written_elsewhere_or_lost_and_the_service_answers(
    service: Service, client: httpx.Client
) -> None:
    answer = client.post(INFER, json=body()).json()
    assert np.isfinite(answer["outputs"][0]["data"]).all()
    outside = {path.name for path in service.home.parent.iterdir()}
    assert outside <= {"home", "line.yaml", "line.suite.json", "log.txt"}
    assert not [path for path in (ROOT / "pwned", Path("/tmp/pwned"), Path("/tmp/pwned.csv")) if path.exists()]
    inbox = service.home / "line" / "inbox"
    assert [file.read_bytes() for file in waiting(inbox)] == [history_csv(50)]
    time.sleep(0.5)
    left = [path for path in service.home.rglob("*") if path.name.endswith((".part", ".onnx"))]
    left.remove(service.home / "line" / "versions" / "1" / "model.onnx")
    assert left == []
    assert not (service.home / "files").exists() or not list((service.home / "files").iterdir())
    assert service.memory - service.before < MOST_GROWTH
    log = (service.home.parent / "log.txt").read_text().splitlines()
    assert [line for line in log if '"level": "error"' in line] == []
