"""A fleet of pipelines: what runs them, and what became of them."""

from collections.abc import Mapping
from typing import Any

from prefect.futures import PrefectFuture
from prefect.task_runners import ProcessPoolTaskRunner, TaskRunner, ThreadPoolTaskRunner

from deployments.settings import Settings


def fleet_runner(settings: Settings) -> TaskRunner[Any]:
    """The task runner that the settings ask for; raises ValueError where its extra is not installed."""
    match settings.fleet_runner:
        case "threads":
            return ThreadPoolTaskRunner(max_workers=settings.fleet_workers)
        case "processes":
            return ProcessPoolTaskRunner(max_workers=settings.fleet_workers)
        case "dask":
            try:
                from prefect_dask import DaskTaskRunner  # pyright: ignore[reportMissingImports]
            except ImportError:
                raise ValueError("LEHR_FLEET_RUNNER: dask needs its extra: pip install 'lehr[dask]'") from None
            return DaskTaskRunner(cluster_kwargs={"n_workers": settings.fleet_workers, "threads_per_worker": 1})


def gather(futures: Mapping[str, PrefectFuture[dict[str, Any]]]) -> dict[str, int]:
    """How many batches each pipeline took; raises RuntimeError that names those that failed, once all are done."""
    failed, taken = dict[str, str](), dict[str, int]()
    for pipeline, future in futures.items():
        result = future.result(raise_on_failure=False)
        if isinstance(result, BaseException):
            failed[pipeline] = f"{type(result).__name__}: {result}"
        else:
            taken[pipeline] = len(result["batches"])
    if failed:
        lines = [f"  {pipeline}: {error}" for pipeline, error in failed.items()]
        raise RuntimeError("\n".join([f"{len(failed)} of {len(futures)} pipelines failed:", *lines]))
    return taken
