"""`lehr backtest` from its arguments to its result, with progress shown."""

import sys
from collections.abc import Generator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from data.sources import iter_arrivals
from deployments.backtesting import make_past, report_backtest
from deployments.history import read_history
from deployments.past_versions import Learning
from deployments.past_versions import Progress as Tell
from deployments.pipeline import PipelineConfig
from monitoring.backtest import Prices


def run_backtest(
    pipeline: Path,
    sources: Sequence[Path],
    batch_rows: int | None,
    learning: Learning,
    prices: Prices,
    home: Path,
    processes: int = 1,
    progress: Tell | None = None,
) -> dict[str, Any]:
    """What `report_backtest` says of the sources' batches.

    What was learned lies under home/<pipeline>/backtest: a run that was killed goes on, one that is repeated learns
    nothing. progress: who is told how far it is; None: the terminal. Raises ValueError for a mistake in the pipeline
    file or the prices, and for a history too short.
    """
    if min(prices.training, prices.sample, prices.point) < 0 or prices.point == 0:
        raise ValueError("prices: none may be negative, and a point of score must cost something")
    if processes < 1:
        raise ValueError(f"processes: {processes} cannot learn; give 1 or more")
    config = PipelineConfig.load(pipeline)
    history = read_history(pipeline, config, iter_arrivals(sources, batch_rows))
    with _shown_progress() if progress is None else nullcontext(progress) as tell:
        past = make_past(history, learning, home / config.name / "backtest", tell, processes)
    return report_backtest(history, past, learning, prices)


@contextmanager
def _shown_progress() -> Generator[Tell]:
    """A bar on a terminal, gone when all is done; nothing elsewhere."""
    console = Console(stderr=True, quiet=not sys.stderr.isatty())
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        tasks: dict[str, Any] = {}

        def tell(what: str, done: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = bar.add_task(what, total=total)
            bar.update(tasks[what], completed=done, total=total)

        yield tell
