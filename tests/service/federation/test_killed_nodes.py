"""Processes of a federation that are killed: all of them go on, over HTTPS, and nothing changes."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest

from deployments.federation_files import load_model
from tests.service.federation.lines import NODES, PATH, job, undisturbed, weights
from tests.service.federation.tls import tls_before


@pytest.mark.torture
@pytest.mark.timeout(600)
def test_processes_are_killed_and_the_result_is_the_undisturbed_one(
    home: Path, tables: dict[str, Path], tokens: dict[str, str], tmp_path: Path
) -> None:
    """A service behind TLS and three nodes, each a process: one node and the service get SIGKILL in mid-round."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    root = Path(__file__).parents[3]
    environment = {**os.environ, "PYTHONPATH": str(root), "OMP_NUM_THREADS": "1"}

    def start(what: str, *arguments: str, **more: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "lehr", *arguments]
        with (tmp_path / f"{what}.log").open("ab") as log:
            return subprocess.Popen(command, cwd=tmp_path, env={**environment, **more}, stdout=log)

    def serve() -> subprocess.Popen[bytes]:
        served = start("service", "serve", "--port", str(port), "--home", str(home))
        wait_until(lambda: asked(url, tokens["trainer"], "/v2/health/live") is not None)
        return served

    def take_part(name: str) -> subprocess.Popen[bytes]:
        where = ("--url", secured, "--ca", str(certificate), "--home", str(tmp_path / "homes" / name))
        return start(name, "node", str(tables[name]), *where, LEHR_NODE_TOKEN=tokens[name])

    def said(name: str, what: str) -> bool:
        return what in (tmp_path / f"{name}.log").read_text()

    with tls_before(port, tmp_path) as (secured, certificate), ExitStack() as ended:
        running = {"service": serve()}
        ended.callback(lambda: [kill(process) for process in running.values()])
        headers = {"Authorization": f"Bearer {tokens['trainer']}"}
        long = job(secure=True, local_epochs=40)
        assert httpx.post(f"{url}/api/v1/federations", json=long, headers=headers).status_code == 201
        running |= {name: take_part(name) for name in NODES}
        wait_until(lambda: said("north", "round 2: shares"))
        kill(running["north"])
        assert not said("north", "round 2: unmask")
        running["north"] = take_part("north")
        wait_until(lambda: said("east", "round 3: shares"))
        kill(running["service"])
        assert not said("east", "round 3: unmask")
        running["service"] = serve()
        wait_until(lambda: (asked(url, tokens["trainer"], PATH) or {}).get("state") == "completed")
        assert {name: running[name].wait(120) for name in NODES} == dict.fromkeys(NODES, 0)
    found = load_model(home / "federation-jobs" / "lines" / "model.bin")
    assert weights(found) == weights(undisturbed(tables, secure=True, local_epochs=40))
    assert (tmp_path / "homes/east/nodes/lines/model.onnx").exists()


def kill(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGKILL)
    process.wait()


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
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        return bound.getsockname()[1]
