"""Runs in forks of one process that has imported everything: they start in tenths of a second instead of in five.

Prefect starts `python -m prefect.engine` for every run. A fork of the standard library's fork server runs the same
module with the same environment; cancelling, crashes and heartbeats stay Prefect's.
"""

import contextlib
import multiprocessing
import os
import runpy
import sys
import warnings
from multiprocessing import forkserver
from pathlib import Path
from typing import Any

import anyio
from anyio.abc import TaskStatus
from prefect.client.schemas.objects import FlowRun
from prefect.runner import runner
from prefect.runner._process_manager import ProcessHandle

from deployments.definitions import FEDERATION, FLEET, FLOWS, JOB, module_of
from deployments.processes import die_with_parent

ENGINE = "prefect.engine"
PRELOADED = "deployments.preloaded"

_context = multiprocessing.get_context("forkserver")


def fork_runs() -> None:
    """Let this process's Prefect runner fork its runs, and begin to import what they need."""
    once = (FLEET, JOB, FEDERATION)
    _context.set_forkserver_preload([ENGINE, PRELOADED, *(module_of(flow) for flow in (*FLOWS, *once))])
    forkserver.ensure_running()
    runner.EngineCommandStarter = ForkingStarter  # pyright: ignore[reportAttributeAccessIssue]: it takes its place


class ForkingStarter:
    """Takes the place of Prefect's `EngineCommandStarter`, whose arguments it takes."""

    def __init__(
        self, *, deployment_name: str | None, heartbeat_seconds: int | None, control_channel: Any, **unused: Any
    ) -> None:
        self._environment = {"PREFECT__ENABLE_CANCELLATION_AND_CRASHED_HOOKS": "false"}
        if deployment_name is not None:
            self._environment["PREFECT__DEPLOYMENT_NAME"] = deployment_name
        if heartbeat_seconds is not None:
            self._environment["PREFECT_FLOWS_HEARTBEAT_FREQUENCY"] = str(int(heartbeat_seconds))
        self._control_channel = control_channel

    async def start(self, flow_run: FlowRun, task_status: TaskStatus[Any] = anyio.TASK_STATUS_IGNORED) -> None:
        """Fork, tell the runner about the process, and wait until it has ended."""
        port, token = self._control_channel.register(flow_run.id)
        control = {"PREFECT__CONTROL_PORT": str(port), "PREFECT__CONTROL_TOKEN": token}
        environment = {**self._environment, **control, "PREFECT__FLOW_RUN_ID": str(flow_run.id)}
        process = _context.Process(target=_run_engine, args=(environment,))
        try:
            await anyio.to_thread.run_sync(process.start)
        except BaseException:
            self._control_channel.unregister(flow_run.id)
            raise
        task_status.started(ProcessHandle(process))  # pyright: ignore[reportArgumentType]: Prefect's own is spawned
        await anyio.to_thread.run_sync(process.join)


def process_name(flow_run_id: str) -> str:
    """Fifteen characters, as many as a process's name has: the end of the run's id, as its beginning is a time."""
    return f"run {flow_run_id[-11:]}"


def _run_engine(environment: dict[str, str]) -> None:
    """What `python -m prefect.engine` does, in a fork, which ends with the server that it was forked from."""
    die_with_parent()
    os.environ.update(environment)
    sys.argv = [ENGINE]
    with contextlib.suppress(OSError):  # only Linux has it: what `ps` and `top` call the process
        Path("/proc/self/comm").write_text(process_name(environment["PREFECT__FLOW_RUN_ID"]))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*found in sys.modules.*", RuntimeWarning)
        runpy.run_module(ENGINE, run_name="__main__")
