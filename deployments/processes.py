"""Processes that one command starts, watches and stops together."""

import contextlib
import ctypes
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Generator
from pathlib import Path

from filelock import FileLock, Timeout

from deployments.services import Service

START_SECONDS = 180
STOP_SECONDS = 15
LOOK_SECONDS = 0.25
LAST_LINES = 15
PR_SET_PDEATHSIG = 1


@contextlib.contextmanager
def only_one(home: Path) -> Generator[None]:
    """Hold the home's place as the one that is up; raises ValueError where another process does.

    While it is held, `up.json` tells this process's number.
    """
    home.mkdir(parents=True, exist_ok=True)
    state = home / "up.json"
    try:
        with FileLock(home / "up.lock", timeout=0):
            state.write_text(json.dumps({"process": os.getpid()}), encoding="utf-8")
            try:
                yield
            finally:
                state.unlink(missing_ok=True)
    except Timeout:
        raise ValueError(f"lehr is up already for {home}; lehr down ends it") from None


def running_process(home: Path) -> int | None:
    """The process that is up for this home; None where there is none."""
    if not (home / "up.json").is_file():  # who asks often is not to stand in the way of one that starts
        return None
    try:
        with FileLock(home / "up.lock", timeout=0):
            return None
    except Timeout:
        return int(json.loads((home / "up.json").read_text(encoding="utf-8"))["process"])


def bring_down(home: Path) -> bool:
    """Stop what is up and wait until it has ended; False where nothing was.

    Raises ValueError where it does not end in time.
    """
    process = running_process(home)
    if process is None:
        return False
    os.kill(process, signal.SIGTERM)
    deadline = time.monotonic() + 3 * STOP_SECONDS + 5
    while time.monotonic() < deadline:
        if running_process(home) is None:
            return True
        time.sleep(LOOK_SECONDS)
    raise ValueError(f"process {process} did not end; its log is under {home / 'logs'}")


@contextlib.contextmanager
def started(service: Service, logs: Path) -> Generator[subprocess.Popen[bytes]]:
    """Start a service, wait until it is ready, and stop it at the end; its output goes to a log file.

    Raises ValueError with the last lines of its log where it ends or is not ready in time.
    """
    logs.mkdir(parents=True, exist_ok=True)
    log = logs / f"{service.name.lower()}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            service.command,
            env={**os.environ, **service.environment},
            stdout=output,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
            preexec_fn=die_with_parent,
        )
        try:
            _await(service, process, log)
            yield process
        finally:
            _stop(process)


def explain_end(service: Service, process: subprocess.Popen[bytes], logs: Path) -> str:
    """Why a service that should run has ended: the last lines of its log."""
    return _ended(service, process, logs / f"{service.name.lower()}.log")


def _await(service: Service, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not service.ready():
        if process.poll() is not None:
            raise ValueError(_ended(service, process, log))
        if time.monotonic() > deadline:
            raise ValueError(f"{service.name} was not ready after {START_SECONDS} seconds; its log is {log}")
        time.sleep(LOOK_SECONDS)


def _ended(service: Service, process: subprocess.Popen[bytes], log: Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()[-LAST_LINES:]
    return "\n".join([f"{service.name} ended by itself (status {process.returncode}); the end of {log}:", *lines])


def _stop(process: subprocess.Popen[bytes]) -> None:
    """Ask the process to end, and after a while end its whole group."""
    if process.poll() is None:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(STOP_SECONDS)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def die_with_parent() -> None:
    """In a new child: the kernel ends it when its parent dies, however that dies; only Linux does that."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
