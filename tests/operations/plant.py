"""`lehr up` as a person starts it: a real server, real pages, real runs, on free ports and in a home of its own."""

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from deployments.processes import running_process

Found = TypeVar("Found")

ROOT = Path(__file__).parents[2]
PATIENCE_SECONDS = 240
ENDS = ("COMPLETED", "FAILED", "CRASHED", "CANCELLED", "PAUSED")


@dataclass(frozen=True)
class Plant:
    """What `lehr up` brought up: Prefect's API, the home, the first pipeline's file, and batches to drop."""

    api: str
    home: Path
    pipeline: Path
    batches: list[Path]
    process: subprocess.Popen[bytes]

    @property
    def inbox(self) -> Path:
        return self.home / "line" / "inbox"

    def drop(self, batch: Path, of: str = "line") -> None:
        """Let a finished batch wait in a pipeline's inbox."""
        inbox = self.home / of / "inbox"
        inbox.mkdir(parents=True, exist_ok=True)
        shutil.copy(batch, inbox / f"{batch.name}.part")
        (inbox / f"{batch.name}.part").rename(inbox / batch.name)

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
            except TimeoutError:
                if method != "GET" and not path.endswith(("filter", "count")):  # it may have been done
                    raise
            time.sleep(0.5)
        raise AssertionError(f"{method} {path}: busy in twenty attempts")

    def start(self, flow: str, of: str = "line", **parameters: Any) -> str:
        """Ask for a run of a pipeline's deployment, as the form does; returns its id."""
        deployment = self.call("GET", f"/deployments/name/{flow}/{of}")
        body = {"parameters": parameters, "state": {"type": "SCHEDULED"}}
        return self.call("POST", f"/deployments/{deployment['id']}/create_flow_run", body)["id"]

    def run(self, run_id: str) -> dict[str, Any]:
        return self.call("GET", f"/flow_runs/{run_id}")

    def process_of(self, run_id: str) -> int | None:
        """The process of a run; None where it has none yet, or none any more."""
        for folder in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if (folder / "comm").read_text().strip() == f"run {run_id[-11:]}":
                    return int(folder.name)
        return None

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

    def states_of(self, run_id: str) -> list[dict[str, Any]]:
        """The states of a run, in order."""
        return self.call("GET", f"/flow_run_states/?flow_run_id={run_id}")

    def events(self, name: str) -> list[dict[str, Any]]:
        """The events of this name, the latest first."""
        return self.call("POST", "/events/filter", {"limit": 50, "filter": {"event": {"name": [name]}}})["events"]

    def event(self, name: str, run_key: str) -> dict[str, Any] | None:
        """The event of this name that started a run; None while the server has not kept it."""
        return next((event for event in self.events(name) if event["payload"].get("run_key") == run_key), None)

    def kill_runner(self) -> None:
        """SIGKILL to the process that starts runs and to all that it started; `lehr up` ends with that."""
        for process in Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split():
            if b"deployments.serving" in Path(f"/proc/{process}/cmdline").read_bytes():
                os.killpg(int(process), signal.SIGKILL)
        assert self.process.wait(60) == 2

    def journal(self) -> str:
        """What is in production and was, as the command line says it."""
        return lehr("history", str(self.pipeline), "--home", str(self.home))


@contextlib.contextmanager
def bring_up(
    folder: Path, *pipelines: Path, batches: Sequence[Path] = (), under: Sequence[str] = (), **settings: str
) -> Generator[Plant]:
    """`lehr up` for pipelines on free ports, its home in the folder; it is stopped as Ctrl-C stops it.

    under: a command that runs `lehr up`. settings: more of the environment.
    """
    home, log, prefect, mlflow = folder / "home", folder / "up.log", free_port(), free_port()
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("PREFECT_", "LEHR_"))}
    environment |= {"LEHR_PREFECT_PORT": str(prefect), "LEHR_MLFLOW_PORT": str(mlflow), "PYTHONUNBUFFERED": "1"}
    command = [*under, sys.executable, "lehr.py", "up", *map(str, pipelines), "--home", str(home)]
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, cwd=ROOT, env=environment | settings, stdout=output, stderr=subprocess.STDOUT
        )
    try:
        until(lambda: True if "up; Ctrl-C" in log.read_text() or process.poll() is not None else None)
        assert process.poll() is None, log.read_text()
        yield Plant(f"http://127.0.0.1:{prefect}/api", home, pipelines[0], list(batches), process)
    finally:
        if (up := running_process(home)) is not None:
            os.kill(up, signal.SIGINT)
            assert process.wait(60) == 0 and "all stopped" in log.read_text()
        else:
            process.kill()


def lehr(*arguments: str, **settings: str) -> str:
    """The command line's output; raises CalledProcessError where it fails. settings: more of the environment."""
    environment = {**os.environ, "COLUMNS": "200", **settings}
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
