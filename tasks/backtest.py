"""Backtest: which trigger policy would have served best, followed and shown on the run's page."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from prefect import task
from prefect.artifacts import create_markdown_artifact, create_table_artifact
from prefect.cache_policies import NO_CACHE

from deployments.backtest_command import run_backtest
from deployments.past_versions import Learning
from monitoring.backtest import Prices
from monitoring.backtest_markdown import backtest_markdown, policy_rows
from tasks.progress import ShownProgress
from tasks.show import artifact_key


@task(name="backtest", task_run_name="backtest {pipeline}", cache_policy=NO_CACHE)
def backtest_policies(
    pipeline: Path,
    sources: Sequence[Path],
    batch_rows: int | None,
    learning: Learning,
    prices: Prices,
    home: Path,
    processes: int,
) -> dict[str, Any]:
    """Replay the policies on the sources' batches; what was learned before is found again."""
    shown: dict[str, ShownProgress] = {}

    def tell(what: str, done: int, total: int) -> None:
        shown.setdefault(what, ShownProgress(what)).show(100 * done / max(1, total))

    result = run_backtest(pipeline, sources, batch_rows, learning, prices, home, processes, tell)
    for progress in shown.values():
        progress.end()
    return result


@task(name="show backtest", cache_policy=NO_CACHE)
def show_backtest(result: dict[str, Any]) -> None:
    """The result as a page, and the policies as a table."""
    name = result["pipeline"]
    create_markdown_artifact(
        backtest_markdown(result), key=artifact_key("backtest", name), description="the best trigger"
    )
    create_table_artifact(
        policy_rows(result), key=artifact_key("policies", name), description=f"{result['batches']} batches"
    )
