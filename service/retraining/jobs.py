"""Retraining jobs: which are at work, which wait.

What was asked for stands in the ledger, as with trainings: the next look finds it, also after a restart.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from functools import partial
from pathlib import Path

from filelock import FileLock, Timeout
from sqlalchemy.exc import SQLAlchemyError

from data.ledger import Ledger
from data.training_runs import TrainingRun, TrainingRuns
from deployments.settings import Settings
from service.retraining import job_files
from service.retraining.isolation import bwrap_works
from service.retraining.job_config import JobConfig
from service.retraining.job_states import PREFIX
from service.retraining.job_work import JobWork, Workplace
from service.settings import ServiceSettings

LOOK_SECONDS = 1.0

_log = logging.getLogger("lehr.service")


class Jobs:
    """Starts jobs and ends them; used from one event loop. Of several services on one home one does the jobs.

    now: the clock.
    """

    def __init__(
        self,
        settings: Settings,
        service: ServiceSettings,
        runs: TrainingRuns,
        ledger: Ledger,
        served: Mapping[str, Path],
        now: Callable[[], datetime],
    ) -> None:
        self._now = now
        self._place = Workplace(settings, service, runs, ledger, served)
        self._at_work: dict[str, asyncio.Task[None]] = {}
        self._pipelines: dict[str, str] = {}
        self._nudged = asyncio.Event()

    def nudge(self) -> None:
        """Look at once: something was asked for."""
        self._nudged.set()

    async def run(self) -> None:
        """See to it that what is wanted happens, until cancelled; what is at work is ended then, and goes on later."""
        folder = job_files.jobs_folder(self._place.settings)
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / "lock", timeout=0)
        self._place = replace(self._place, bwrap=await asyncio.to_thread(bwrap_works))
        try:
            while True:
                try:
                    if lock.is_locked or await self._take_over(lock):
                        await self._look()
                except (SQLAlchemyError, OSError, ValueError):
                    _log.exception("could not look after the jobs; the next look is in a second")
                # Not wait_for, which forgets that it was cancelled where what it waits for happens at once.
                with suppress(TimeoutError):
                    async with asyncio.timeout(LOOK_SECONDS):
                        await self._nudged.wait()
                self._nudged.clear()
        finally:
            for task in self._at_work.values():
                task.cancel()
            await asyncio.gather(*self._at_work.values(), return_exceptions=True)
            lock.release()

    async def _take_over(self, lock: FileLock) -> bool:
        try:
            lock.acquire()
        except Timeout:
            return False
        await asyncio.to_thread(self._tidy)
        return True

    def _tidy(self) -> None:
        """Remove what nobody will ask for: of jobs that never were, and of those that were wished away."""
        runs = [run for run in self._place.runs.runs() if run.id.startswith(PREFIX)]
        for run in runs:
            if run.finished and run.desired == "cancel":
                job_files.remove(job_files.folder_of(self._place.settings, JobConfig.model_validate(run.config)))
        known = [run.config["folder"] for run in runs]
        job_files.sweep(self._place.settings, known, self._now())

    async def _look(self) -> None:
        for run in await asyncio.to_thread(self._place.runs.unfinished):
            if not run.id.startswith(PREFIX) or run.id in self._at_work:
                continue
            if run.desired == "cancel" and run.state == "pending":
                await asyncio.to_thread(JobWork(self._place, run).end, "cancelled", "somebody ended it before it began")
            elif len(self._at_work) < self._place.service.jobs_at_once:
                self._start(run)

    def _start(self, run: TrainingRun) -> None:
        """Jobs of one pipeline are done one after another: each is a batch of it."""
        pipeline: str = run.config["pipeline"]
        if pipeline in self._pipelines.values():
            return
        self._pipelines[run.id] = pipeline
        task = self._at_work[run.id] = asyncio.create_task(JobWork(self._place, run).do(), name=run.id)
        task.add_done_callback(partial(self._is_over, run))
        _log.info("job started", extra={"run": run.id})

    def _is_over(self, run: TrainingRun, task: asyncio.Task[None]) -> None:
        """Make room for the next; what could not be done fails, whyever that is, and is not begun again."""
        error = None if task.cancelled() else task.exception()
        if error is None:
            self._make_room(run.id)
            return
        _log.error("a job failed", extra={"run": run.id}, exc_info=error)
        said = str(error) if isinstance(error, ValueError) else "the service failed at this job; its log says why"
        ending = asyncio.ensure_future(asyncio.to_thread(JobWork(self._place, run).end, "failed", said))
        self._at_work[run.id] = ending
        ending.add_done_callback(lambda _: self._make_room(run.id))

    def _make_room(self, run_id: str) -> None:
        self._at_work.pop(run_id, None)
        self._pipelines.pop(run_id, None)
        self.nudge()
