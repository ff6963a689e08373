"""Deployments served by this process, or registered for the workers of a pool.

`python -m deployments.serving PIPELINE…` is what `lehr up` starts.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

from prefect import serve
from prefect.client.schemas.objects import ConcurrencyLimitConfig, ConcurrencyLimitStrategy
from prefect.deployments.runner import RunnerDeployment
from prefect.events import DeploymentEventTrigger
from prefect.schedules import Cron, Interval

from deployments.definitions import Definition, definitions
from deployments.forking import fork_runs

ONE_AT_A_TIME = ConcurrencyLimitConfig(limit=1, collision_strategy=ConcurrencyLimitStrategy.ENQUEUE)


def serve_pipelines(pipelines: Sequence[Path]) -> None:
    """Register the deployments of the pipelines and run what is due, until the process is stopped."""
    fork_runs()
    # Schedules that the runner pauses when it ends stay paused, as those do that a person has paused.
    found = [_deployment(definition) for definition in definitions(pipelines)]
    serve(*found, pause_on_shutdown=False, print_starting_message=False)


def _deployment(definition: Definition) -> RunnerDeployment:
    schedules = [Cron(definition.cron)] if definition.cron is not None else []
    if definition.interval_seconds is not None:
        schedules.append(Interval(definition.interval_seconds))
    return RunnerDeployment.from_entrypoint(
        definition.entrypoint,
        name=definition.name,
        description=definition.description,
        tags=list(definition.tags),
        parameters=definition.parameters,
        schedules=schedules,
        triggers=[DeploymentEventTrigger.model_validate(trigger) for trigger in definition.triggers],
        concurrency_limit=ONE_AT_A_TIME,
    )


if __name__ == "__main__":
    serve_pipelines([Path(argument) for argument in sys.argv[1:]])
