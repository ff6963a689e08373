"""Those who look after trainings and jobs end when they are told to, whatever happens at that moment."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from data.ledger import Ledger
from data.training_runs import TrainingRuns
from deployments.settings import Settings
from service.core import now
from service.retraining.jobs import Jobs
from service.settings import ServiceSettings
from service.training.trainings import Trainings


def trainings(settings: Settings) -> Trainings:
    return Trainings(settings, TrainingRuns(settings.ledger_url, now), at_once=1, stop_seconds=1)


def jobs(settings: Settings) -> Jobs:
    runs, ledger = TrainingRuns(settings.ledger_url, now), Ledger(settings.ledger_url, now)
    return Jobs(settings, ServiceSettings(), runs, ledger, {}, now)


@pytest.mark.parametrize("make", [trainings, jobs])
@pytest.mark.parametrize("turns", range(4))
def test_an_end_is_not_missed_where_something_is_asked_for_just_before(
    tmp_path: Path, make: Callable[[Settings], Trainings | Jobs], turns: int
) -> None:
    async def end_while_nudged() -> bool:
        watching = make(Settings(home=tmp_path))
        task = asyncio.create_task(watching.run())
        await asyncio.sleep(0.2)
        watching.nudge()
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        ended, _ = await asyncio.wait([task], timeout=0.5)
        task.cancel()
        return bool(ended)

    assert asyncio.run(end_while_nudged())
