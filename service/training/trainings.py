"""Trainings at work: each in a process of its own, so that the service answers meanwhile and outlives it.

What a run shall do stands in the ledger; here it is made so. Whatever dies, child or service, the next look goes on
from the last checkpoint.
"""

import asyncio
import logging
import os
import signal
import sys
from asyncio.subprocess import DEVNULL, Process
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from filelock import FileLock, Timeout
from sqlalchemy.exc import SQLAlchemyError

from data.training_runs import TrainingRun, TrainingRuns
from deployments.settings import Settings
from service.training.training_process import PREFIX, folder_of, log_of

LOOK_SECONDS = 1.0
MOST_DEATHS = 3
"""Of one run in a row; then it is given up with the reason."""

_log = logging.getLogger("lehr.service")


class Trainings:
    """Starts, restarts and stops the processes; used from one event loop."""

    def __init__(self, settings: Settings, runs: TrainingRuns, at_once: int, stop_seconds: float) -> None:
        self._settings, self._runs = settings, runs
        self._at_once, self._stop_seconds = at_once, stop_seconds
        self._children: dict[str, Process] = {}
        self._deaths: dict[str, int] = {}
        self._nudged = asyncio.Event()
        self._watchers: set[asyncio.Task[None]] = set()

    def nudge(self) -> None:
        """Look at once: something was asked for."""
        self._nudged.set()

    async def run(self) -> None:
        """See to it that what is wanted happens, until cancelled; then let the children keep what they have."""
        try:
            while True:
                try:
                    await self._look()
                except (SQLAlchemyError, OSError, ValueError):
                    _log.exception("could not look after the trainings; the next look is in a second")
                # Not wait_for, which forgets that it was cancelled where what it waits for happens at once.
                with suppress(TimeoutError):
                    async with asyncio.timeout(LOOK_SECONDS):
                        await self._nudged.wait()
                self._nudged.clear()
        finally:
            await self._stop()

    async def _look(self) -> None:
        for training in await asyncio.to_thread(self._waiting):
            await self._see_to(training)

    def _waiting(self) -> list[TrainingRun]:
        """Runs without a process of ours, of which something is wanted."""
        idle = (run for run in self._runs.unfinished() if run.id.startswith(PREFIX) and run.id not in self._children)
        return [run for run in idle if (run.desired, run.state) != ("pause", "paused")]

    async def _see_to(self, run: TrainingRun) -> None:
        if run.desired == "run":
            if len(self._children) < self._at_once:
                await self._start(run.id)
        elif await asyncio.to_thread(self._nobody_at_work, run.id):
            state = {"pause": "paused", "cancel": "cancelled"}[run.desired]
            await asyncio.to_thread(self._runs.change_state, run.id, state, "before it began, or between two parts")

    def _nobody_at_work(self, run_id: str) -> bool:
        folder = folder_of(self._settings, run_id)
        folder.mkdir(parents=True, exist_ok=True)
        try:
            with FileLock(folder / "lock", timeout=0):
                return True
        except Timeout:
            return False

    async def _start(self, run_id: str) -> None:
        folder_of(self._settings, run_id).mkdir(parents=True, exist_ok=True)
        command = (sys.executable, "-m", "service.training.training_process", run_id, str(os.getpid()))
        with log_of(self._settings, run_id).open("wb") as log:
            child = await asyncio.create_subprocess_exec(
                *command, stdin=DEVNULL, stdout=log, stderr=log, env=environment_of(self._settings)
            )
        _log.info("training started", extra={"run": run_id, "pid": child.pid})
        self._children[run_id] = child
        watcher = asyncio.create_task(self._watch(run_id, child))
        self._watchers.add(watcher)
        watcher.add_done_callback(self._watchers.discard)

    async def _watch(self, run_id: str, child: Process) -> None:
        status = await child.wait()
        _log.info("training process ended", extra={"run": run_id, "status": status})
        self._deaths[run_id] = 0 if status == 0 else self._deaths.get(run_id, 0) + 1
        if self._deaths[run_id] >= MOST_DEATHS or status > 0:
            await asyncio.to_thread(self._give_up, run_id, status)
        self._children.pop(run_id, None)
        self.nudge()

    def _give_up(self, run_id: str, status: int) -> None:
        if self._runs.get(run_id).finished:
            return
        if status < 0:
            name = signal.Signals(-status).name
            hint = "; if memory ran out: a smaller batch_size or fewer hidden_units need less"
            reason = f"its process was ended by {name} {MOST_DEATHS} times in a row{hint}"
        else:
            reason = "".join(log_of(self._settings, run_id).read_text(errors="replace").splitlines()[-1:])
        self._runs.change_state(run_id, "failed", reason or f"its process ended with status {status}")

    async def _stop(self) -> None:
        """SIGTERM pauses a training between two batches; what is still there after a while is killed."""
        children = list(self._children.values())
        _signal(children, signal.SIGTERM)
        with suppress(TimeoutError):
            async with asyncio.timeout(self._stop_seconds):
                await asyncio.gather(*(child.wait() for child in children))
        _signal([child for child in children if child.returncode is None], signal.SIGKILL)
        for watcher in list(self._watchers):
            watcher.cancel()


def _signal(children: Iterable[Process], number: int) -> None:
    for child in children:
        with suppress(ProcessLookupError):
            child.send_signal(number)


def environment_of(settings: Settings) -> dict[str, str]:
    """The service's own, with lehr's folder on the path and its home, whichever way that was given."""
    root = str(Path(__file__).parents[2])
    paths = [root, *filter(None, [os.environ.get("PYTHONPATH")])]
    secrets = {"LEHR_SERVE_TOKENS"}
    kept = {name: value for name, value in os.environ.items() if name not in secrets}
    return {**kept, "PYTHONPATH": os.pathsep.join(paths), "LEHR_HOME": str(settings.home.resolve())}
