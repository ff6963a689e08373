"""Federations between machines at work: their deadlines pass whether or not anybody asks."""

import asyncio
import logging
from pathlib import Path
from threading import Lock
from time import monotonic

from deployments.federation_job import FederationJob, JobConfig

LOOK_SECONDS = 1.0

_log = logging.getLogger("lehr.service")


class Federations:
    """The jobs of a folder; each is opened once, where it was stopped."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._lock = folder, Lock()
        self._jobs: dict[str, FederationJob] = {}

    def start(self, config: JobConfig) -> FederationJob:
        """Begin one; raises ValueError where that is not possible."""
        with self._lock:
            job = FederationJob.start(self._folder / config.name, config, monotonic)
            self._jobs[config.name] = job
            return job

    def find(self, name: str) -> FederationJob | None:
        """The latest of this name."""
        with self._lock:
            if name not in self._jobs and name in self._names():
                self._jobs[name] = FederationJob(self._folder / name, monotonic)
            return self._jobs.get(name)

    def all(self) -> list[FederationJob]:
        """Those there are, by name."""
        found = (self.find(name) for name in self._names())
        return [job for job in found if job is not None]

    async def run(self) -> None:
        """See to deadlines until cancelled."""
        while True:
            try:
                await asyncio.to_thread(self._look)
            except (OSError, ValueError):
                _log.exception("could not look after the federations; the next look is in a second")
            await asyncio.sleep(LOOK_SECONDS)

    def _look(self) -> None:
        for job in self.all():
            job.look()

    def _names(self) -> list[str]:
        return sorted(path.parent.name for path in self._folder.glob("*/job.json") if "." not in path.parent.name)
