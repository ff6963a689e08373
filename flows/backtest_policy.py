"""Which trigger policy would have served best on the batches that have come? Nothing of the loop's state changes."""

from pathlib import Path
from typing import Annotated, Any, Literal

from prefect import flow
from prefect.runtime import flow_run
from pydantic import Field

from data.inbox import TAKEN
from deployments.line import inbox_of
from deployments.settings import Settings
from monitoring.backtest import Prices
from tasks.backtest import backtest_policies, show_backtest


def _run_name() -> str:
    return f"backtest {Path(flow_run.parameters['pipeline']).stem}"


@flow(name="backtest-policy", flow_run_name=_run_name)
def backtest_policy(
    pipeline: str,
    sources: list[str] | None = None,
    batch_rows: Annotated[int, Field(ge=1)] | None = None,
    learning: Literal["scratch", "chain"] = "scratch",
    price_training: Annotated[float, Field(ge=0)] = 1.0,
    price_sample: Annotated[float, Field(ge=0)] = 0.0,
    price_point: Annotated[float, Field(gt=0)] = 1.0,
    processes: Annotated[int, Field(ge=1, le=64)] = 1,
    home: str | None = None,
) -> dict[str, Any]:
    """Say which trigger policy would have served best; ledger, store and champion are left alone.

    Args:
        pipeline: the pipeline file.
        sources: files, or folders whose finished files are taken in order of name; each file is one batch. By default
            what the pipeline's inbox has taken.
        batch_rows: cut long files into batches of so many rows.
        learning: scratch learns each version from fresh weights on all batches so far, chain goes on from the one
            before.
        price_training: what a training costs, in the unit of the other prices.
        price_sample: what each sample that a training learns from costs.
        price_point: what a point of score lost on one batch costs.
        processes: how many processes learn at once.
        home: where lehr keeps its state; what was learned for a backtest is found there again.
    """
    settings = Settings() if home is None else Settings(home=Path(home))
    prices = Prices(price_training, price_sample, price_point)
    given = [inbox_of(Path(pipeline), settings) / TAKEN] if sources is None else [Path(source) for source in sources]
    result = backtest_policies(Path(pipeline), given, batch_rows, learning, prices, settings.home, processes)
    show_backtest(result)
    return {key: result[key] for key in ("pipeline", "batches", "best", "policies")}
