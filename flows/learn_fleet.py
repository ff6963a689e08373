"""The loop over many pipelines at once; one that fails does not stop the others."""

from pathlib import Path
from typing import Any

from prefect import flow, task
from prefect.cache_policies import NO_CACHE
from prefect.futures import wait

from deployments.settings import Settings
from flows.learn_continuously import learn_from_inbox
from tasks.fleet import fleet_runner, gather


@task(name="learn pipeline", task_run_name="learn {pipeline}", cache_policy=NO_CACHE)
def learn_pipeline(pipeline: str, home: str | None) -> dict[str, Any]:
    """Take what waits in one pipeline's inbox through the loop."""
    return learn_from_inbox(Path(pipeline), Settings() if home is None else Settings(home=Path(home)))


@flow(name="learn-fleet", flow_run_name="learn a fleet", task_runner=fleet_runner(Settings()))
def learn_fleet(pipelines: list[str], home: str | None = None) -> dict[str, int]:
    """Take what waits in the inboxes of many pipelines through the loop.

    What runs them is a setting: LEHR_FLEET_RUNNER (threads, processes, dask) and LEHR_FLEET_WORKERS. Where pipelines
    failed, the run fails at the end and names each with its error.

    Args:
        pipelines: the pipeline files.
        home: where lehr keeps its state.
    """
    futures = {pipeline: learn_pipeline.submit(pipeline, home) for pipeline in pipelines}
    wait(list(futures.values()))
    return gather(futures)
