"""`lehr up` as a person starts it: a real server, real pages, real runs, on free ports and in a home of its own."""

import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

Found = TypeVar("Found")

ROOT = Path(__file__).parents[2]
PATIENCE_SECONDS = 120
ENDS = ("COMPLETED", "FAILED", "CRASHED", "CANCELLED", "PAUSED")


@dataclass(frozen=True)
class Plant:
    """What `lehr up` brought up: Prefect's API, the home, the pipeline file, and batches to drop."""

    api: str
    home: Path
    pipeline: Path
    batches: list[Path]
    process: subprocess.Popen[bytes]

    @property
    def inbox(self) -> Path:
        return self.home / "line" / "inbox"

    def call(self, method: str, path: str, body: Any = None) -> Any:
        """Prefect's API; raises urllib's HTTPError."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.api + path, data, {"Content-Type": "application/json"}, method=method)
        for _ in range(20):
            try:
                with urllib.request.urlopen(request, timeout=30) as answer:
                    return json.loads(answer.read() or b"null")
            except urllib.error.HTTPError as error:
                if error.code != 503:  # SQLite is busy, which Prefect's own clients wait out too
                    raise
            time.sleep(0.5)
        raise AssertionError(f"{method} {path}: busy for ten seconds")

    def start(self, flow: str, **parameters: Any) -> str:
        deployment = self.call("GET", f"/deployments/name/{flow}/line")
        body = {"parameters": parameters, "state": {"type": "SCHEDULED"}}
        return self.call("POST", f"/deployments/{deployment['id']}/create_flow_run", body)["id"]

    def run(self, run_id: str) -> dict[str, Any]:
        return self.call("GET", f"/flow_runs/{run_id}")

    def ended(self, run_id: str, among: tuple[str, ...] = ENDS) -> dict[str, Any]:
        """The run once it is in one of these states."""
        return until(lambda: found if (found := self.run(run_id))["state_type"] in among else None)

    def runs_of(self, flow: str) -> list[dict[str, Any]]:
        """All runs of a flow that have started, in order."""
        body = {"flows": {"name": {"any_": [flow]}}, "sort": "EXPECTED_START_TIME_ASC"}
        return [run for run in self.call("POST", "/flow_runs/filter", body) if run["start_time"] is not None]

    def progress_of(self, run_id: str) -> float | None:
        """The share of its training that a run shows as done; None before it shows any."""
        body = {"artifacts": {"flow_run_id": {"any_": [run_id]}, "type": {"any_": ["progress"]}}}
        found = self.call("POST", "/artifacts/filter", body)
        return found[0]["data"] if found else None

    def journal(self) -> str:
        """What is in production and was, as the command line says it."""
        return lehr("history", str(self.pipeline), "--home", str(self.home))


def lehr(*arguments: str) -> str:
    """The command line's output; raises CalledProcessError where it fails."""
    environment = {**os.environ, "COLUMNS": "200"}
    command = [sys.executable, "lehr.py", *arguments]
    return subprocess.run(command, cwd=ROOT, env=environment, check=True, capture_output=True, text=True).stdout


def until(look: Callable[[], Found | None]) -> Found:
    """What is looked for, as soon as it is there."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        if (found := look()) is not None:
            return found
        time.sleep(0.3)
    raise AssertionError(f"not there after {PATIENCE_SECONDS} seconds")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
