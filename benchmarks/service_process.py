"""`lehr serve` in a process of its own, on a home of its own, for benchmarks that ask it over real sockets."""

import http.client
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from data.ledger import Ledger
from data.sources import Arrival
from deployments.pipeline import PipelineConfig
from deployments.portable import unpack
from deployments.settings import Settings
from deployments.training import read_given, train_on
from deployments.versions import save_version
from service.core import now
from service.security.tokens import make_token, tokens_path

ROOT = Path(__file__).parents[1]


class Client:
    """One kept connection to a service at a port."""

    def __init__(self, port: int, token: str) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        self._headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}

    def ask(self, method: str, path: str, body: bytes | None = None, **headers: str) -> tuple[int, bytes]:
        """Status and body of an answer."""
        self._connection.request(method, path, body, {**self._headers, **headers})
        answer = self._connection.getresponse()
        return answer.status, answer.read()

    def json(self, method: str, path: str, document: Any = None) -> Any:
        """The answer's document, over a new connection: idle ones are closed after a while."""
        self._connection.close()
        status, body = self.ask(method, path, None if document is None else json.dumps(document).encode())
        assert status < 300, body
        return json.loads(body)


@contextmanager
def serving(home: Path, **environment: str) -> Generator[tuple[int, str]]:
    """Inside, a service answers at this port to an admin with this token."""
    port, token = free_port(), make_token(tokens_path(home), "benchmark", ["admin"], None, now())
    own = {"LEHR_HOME": str(home), "LEHR_SERVE_PORT": str(port), "OMP_NUM_THREADS": "1", **environment}
    command = [sys.executable, str(ROOT / "lehr.py"), "serve"]
    with in_process(command, home / "serve.log", own, lambda: is_live(port, token)):
        yield port, token


@contextmanager
def in_process(
    command: list[str], log: Path, environment: dict[str, str], ready: Callable[[], bool]
) -> Generator[None]:
    """Inside, the command runs, and has become ready."""
    with log.open("wb") as file:
        process = subprocess.Popen(command, cwd=ROOT, env={**os.environ, **environment}, stdout=file, stderr=file)
        try:
            wait_for(ready, log=log)
            yield
        finally:
            process.terminate()
            process.wait(30)


def free_port() -> int:
    """A port that nobody listens at."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def is_live(port: int, token: str) -> bool:
    """Whether it answers."""
    try:
        return Client(port, token).ask("GET", "/v2/health/ready")[0] == 200
    except OSError:
        return False


def wait_for(what: Callable[[], bool], seconds: float = 120, log: Path | None = None) -> None:
    """Until something is so."""
    deadline = time.monotonic() + seconds
    while not what():
        said = log.read_text(errors="replace")[-2000:] if log else ""
        assert time.monotonic() < deadline, f"it took too long\n{said}"
        time.sleep(0.05)


def put_into_production(home: Path, history: Arrival, documents: list[dict[str, Any]]) -> list[bytes]:
    """Train and register a version for each pipeline document, and promote the first of each name; their ONNX files."""
    ledger, files = Ledger(Settings(home=home).ledger_url, now), list[bytes]()
    for document in documents:
        name = document["name"]
        trained = train_on(read_given(PipelineConfig.parse(document, "here"), history))
        contents, number = unpack(trained.onnx), ledger.next_version(name)
        folder = home / name / "versions" / str(number)
        digest = save_version(folder, trained.onnx, contents.card, contents.reference, contents.memory)
        if number == 1:
            ledger.declare_schema(name, {"columns": []})
        ledger.register_version(name, number, digest, None, 1, "bootstrap")
        if number == 1:
            ledger.promote(name, 1, None, None, "first")
        files.append(trained.onnx)
    return files
