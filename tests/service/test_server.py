import json
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

from deployments.settings import Settings
from service.core import Core, make_core, now
from service.security.tokens import make_token, tokens_path
from service.server import admit_somebody
from service.settings import ServiceSettings
from tests.service.conftest import client_with

ROOT = Path(__file__).parents[2]


def test_the_first_start_makes_an_admins_token(home: Path) -> None:
    core = make_core(Settings(home=home), ServiceSettings())
    secret = admit_somebody(core)
    assert secret is not None
    found = core.tokens.find(secret)
    assert found is not None
    assert found.roles == ["admin"]
    assert admit_somebody(core) is None


def test_other_machines_are_served_only_where_somebody_has_a_token(home: Path) -> None:
    core = make_core(Settings(home=home), ServiceSettings(host="0.0.0.0"))
    with pytest.raises(ValueError, match="lehr token"):
        admit_somebody(core)
    assert not (home / "tokens.json").exists()


def test_tokens_from_the_environment_that_admit_nobody_are_a_mistake(home: Path) -> None:
    core = make_core(Settings(home=home), ServiceSettings(tokens='{"tokens": []}'))
    with pytest.raises(ValueError, match="nobody could call"):
        admit_somebody(core)


def test_a_stop_ends_streams_and_requests_and_leaves_nothing_behind(home: Path, core: Core) -> None:
    secret = make_token(tokens_path(home), "mes", ["train"], None, now())
    run = core.runs.create("nobody trains it", {"request": {"epochs": 1}}).id
    core.runs.desire(run, "pause")
    address = f"http://127.0.0.1:{free_port()}"
    command = [sys.executable, "lehr.py", "serve", "--port", address.rsplit(":", 1)[1], "--home", str(home)]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    with client_with(address, secret) as client:
        wait_until_live(client)
        with client.stream("GET", f"/api/v1/epoch-training/stream-progress/{run}") as stream:
            lines = stream.iter_lines()
            next(lines)
            process.send_signal(signal.SIGTERM)
            list(lines)
    _, log = process.communicate(timeout=20)
    assert process.returncode in (0, -signal.SIGTERM)
    assert all(json.loads(line)["level"] in ("info", "warning") for line in log.splitlines())
    assert secret not in log


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_until_live(client: httpx.Client) -> None:
    deadline = time.monotonic() + 60
    while True:
        try:
            assert client.get("/v2/health/ready").status_code == 200
        except (httpx.ConnectError, AssertionError):
            assert time.monotonic() < deadline
            time.sleep(0.1)
        else:
            return
