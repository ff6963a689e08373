"""Runs of an experiment as tables: every value, one row a run, two runs side by side, the best one."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from monitoring.metric_uploads import MetricStore

HISTORY = {
    "run": pl.String(), "name": pl.String(), "metric": pl.String(), "step": pl.Int64(),
    "time": pl.Datetime("ms", "UTC"), "value": pl.Float64(),
}  # fmt: skip
ENDINGS = (".csv", ".json", ".parquet")
LOWER_IS_BETTER = ("loss", "error", "rmse", "mae", "mse", "cost", "latency", "seconds", "forgetting")


def history_of(store: MetricStore, metrics: Sequence[str] | None = None, most_runs: int | None = None) -> pl.DataFrame:
    """All values of all runs, in order of run, metric, step and time. metrics: only these; most_runs: the latest."""
    rows = [
        (run.info.run_id, run.info.run_name, name, value.step, value.timestamp, value.value)
        for run in _runs(store)[:most_runs]
        for name in sorted(run.data.metrics)
        if metrics is None or name in metrics
        for value in store.client.get_metric_history(run.info.run_id, name)
    ]
    found = pl.DataFrame(rows, schema={**HISTORY, "time": pl.Int64()}, orient="row")
    return found.with_columns(pl.from_epoch("time", "ms").dt.replace_time_zone("UTC")).sort(
        "run", "metric", "step", "time"
    )


def runs_of(store: MetricStore) -> pl.DataFrame:
    """One row a run, the latest first: `run`, `name`, `status`, `started`, its parameters, its latest metrics."""
    rows = [
        {
            "run": run.info.run_id,
            "name": run.info.run_name,
            "status": run.info.status,
            "started": run.info.start_time,
            **{f"param {name}": value for name, value in sorted(run.data.params.items())},
            **run.data.metrics,
        }
        for run in _runs(store)
    ]
    frame = pl.DataFrame(rows, schema_overrides={"started": pl.Int64()}, infer_schema_length=None)
    if not rows:
        return pl.DataFrame(schema={name: pl.String() for name in ("run", "name", "status", "started")})
    return frame.with_columns(pl.from_epoch("started", "ms").dt.replace_time_zone("UTC"))


def compare(runs: pl.DataFrame, names: Sequence[str]) -> pl.DataFrame:
    """A row a metric, a column a run, and how far the last of them lies from the first.

    names: of runs, or their ids. Raises ValueError for one that is not there.
    """
    chosen = [_find(runs, name) for name in names]
    metrics = [c for c, kind in runs.schema.items() if kind == pl.Float64()]
    table = {"metric": metrics, **{name: [row[m] for m in metrics] for name, row in zip(names, chosen, strict=True)}}
    frame = pl.DataFrame(table, schema_overrides=dict.fromkeys(names, pl.Float64()))
    return frame if len(names) < 2 else frame.with_columns(change=pl.col(names[-1]) - pl.col(names[0]))


def best(runs: pl.DataFrame, history: pl.DataFrame, metric: str, lower: bool | None, at: str) -> dict[str, Any]:
    """The run with the best value of a metric: its latest (`at` "last") or the best it ever had ("best").

    lower: whether less is better; None: by the metric's name. Raises ValueError where no run has the metric.
    """
    values = history.filter((pl.col("metric") == metric) & pl.col("value").is_not_nan())
    if values.is_empty():
        known = ", ".join(history["metric"].unique().sort()) or "none"
        raise ValueError(f"no run has logged {metric!r}; metrics that were: {known}")
    lower = is_lower_better(metric) if lower is None else lower
    reached = pl.col("value").last() if at == "last" else pl.col("value").min() if lower else pl.col("value").max()
    by_run = values.group_by("run", maintain_order=True).agg(reached).sort("value", descending=not lower)
    return {**_find(runs, by_run["run"][0]), "best": by_run["value"][0]}


def write_history(history: Callable[[], pl.DataFrame], path: Path) -> Path:
    """Write a history as the file's ending says; raises ValueError, before it is read, for another one."""
    if path.suffix not in ENDINGS:
        raise ValueError(f"{path}: a history is written as {', '.join(ENDINGS)}")
    path.parent.mkdir(parents=True, exist_ok=True)
    match path.suffix:
        case ".csv":
            history().write_csv(path)
        case ".json":
            history().write_json(path)
        case _:
            history().write_parquet(path)
    return path


def is_lower_better(metric: str) -> bool:
    """Whether a metric's name says that less of it is better."""
    return any(word in metric.lower() for word in LOWER_IS_BETTER)


def _runs(store: MetricStore) -> list[Any]:
    found, token, experiment_id = list[Any](), None, store.experiment_id
    while experiment_id is not None:
        page = store.client.search_runs([experiment_id], max_results=1000, page_token=token)
        found += page
        token = page.token
        if not token:
            break
    return found


def _find(runs: pl.DataFrame, name: str) -> dict[str, Any]:
    found = runs.filter((pl.col("run") == name) | (pl.col("name") == name))
    if found.is_empty():
        raise ValueError(f"there is no run {name!r}; runs are {', '.join(runs['name'])}")
    return found.row(0, named=True)
