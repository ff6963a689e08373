"""What all routes of one service work with."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

from fastapi import Depends, Request

from data.ledger import Ledger
from data.training_runs import TrainingRun, TrainingRuns
from deployments.pipeline_files import load_pipeline
from deployments.settings import Settings
from service.counters import Counters
from service.federation.federating import Federations
from service.inference.recording import Recorder
from service.inference.served import Versions
from service.logs import Gathered
from service.operating.loop import Loop
from service.problems import Problem
from service.retraining.jobs import Jobs
from service.security.idempotency import forget_old_keys
from service.security.tokens import Tokens, parse_tokens, tokens_path
from service.settings import ServiceSettings
from service.training.feed import Feed
from service.training.trainings import Trainings

_log = logging.getLogger("lehr.service")


@dataclass(frozen=True)
class Core:
    """lehr's settings, the service's own, the pipeline files that it was started with by name, and what is at work."""

    settings: Settings
    service: ServiceSettings
    pipelines: Mapping[str, Path]
    tokens: Tokens
    ledger: Ledger
    runs: TrainingRuns
    trainings: Trainings
    jobs: Jobs
    feed: Feed
    versions: Versions
    recorder: Recorder
    loop: Loop
    counters: Counters
    answered: Gathered
    federations: Federations
    tasks: list[asyncio.Task[None]] = field(default_factory=list[asyncio.Task[None]])

    @property
    def is_well(self) -> bool:
        """Whether everything that works beside the requests does."""
        return bool(self.tasks) and not any(task.done() for task in self.tasks)

    def run_of(self, run_id: str, prefix: str, kind: str) -> TrainingRun:
        """The run of this id; raises Problem 404 where there is none of the `kind`, whose ids begin with the prefix."""
        unknown = Problem(404, f"there is no {kind} {run_id}")
        if not run_id.startswith(prefix):
            raise unknown
        try:
            return self.runs.get(run_id)
        except ValueError:
            raise unknown from None

    @asynccontextmanager
    async def at_work(self) -> AsyncGenerator[None]:
        """Inside, trainings go on and their followers are told."""
        parts = self.trainings, self.jobs, self.feed, self.versions, self.recorder, self.answered, self.federations
        self.tasks[:] = [asyncio.create_task(part.run(), name=type(part).__name__) for part in parts]
        for task in self.tasks:
            task.add_done_callback(_say_if_it_failed)
        try:
            yield
        finally:
            self.feed.close()
            for task in self.tasks:
                task.cancel()
            await asyncio.wait(self.tasks)


def make_core(settings: Settings, service: ServiceSettings, pipelines: Sequence[Path] = ()) -> Core:
    """Put the parts together; raises ValueError where the tokens or a pipeline's file cannot be read."""
    forget_old_keys(settings.home, now())
    given = service.tokens
    source = tokens_path(settings.home) if given is None else parse_tokens(given, "LEHR_SERVE_TOKENS")
    files = {load_pipeline(path).name: path for path in pipelines}
    runs = TrainingRuns(settings.ledger_url, now)
    trainings = Trainings(settings, runs, service.trainings_at_once, service.stop_seconds)
    ledger = Ledger(settings.ledger_url, now)
    return Core(
        settings,
        service,
        files,
        Tokens(source, now),
        ledger,
        runs,
        trainings,
        Jobs(settings, service, runs, ledger, files, now),
        Feed(runs),
        Versions(ledger, settings.home),
        Recorder(ledger, settings.home, now, service.receipt_seconds, service.inputs_share),
        Loop(settings.home, settings.prefect_port, service.prefect_api),
        Counters(),
        Gathered(_log, "answered"),
        Federations(settings.home / "federation-jobs"),
    )


def _say_if_it_failed(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        _log.error("a part of the service has ended", extra={"part": task.get_name()}, exc_info=error)


def now() -> datetime:
    """The service's clock."""
    return datetime.now(UTC)


async def _core(request: Request) -> Core:  # a coroutine, so that no thread is needed for it
    return request.app.state.core


CoreOf = Annotated[Core, Depends(_core)]
"""A route's parameter of this type is the service's core."""
