"""The metrics of an experiment as a page shows them."""

from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from monitoring.metric_history import is_lower_better
from monitoring.metrics_plots import MOST_RUNS, plot_confusion, plot_metric

MOST_CARDS, MOST_ROWS = 6, 50


def metrics_view(
    experiment: str, history: pl.DataFrame, runs: pl.DataFrame, records: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    """All that the page shows: the latest run's values, every metric over steps, alerts, what mistakes cost, all runs.

    history, runs: as `MLMetricsTracker` gives them. records: of the latest run's journal.
    """
    alerts = [record["alert"] for record in records if "alert" in record]
    report = next((record["report"] for record in reversed(records) if "report" in record), None)
    metrics = history["metric"].unique(maintain_order=True).to_list()
    order = runs["run"].to_list()
    plots = {
        f"metric-{number}": plot_metric(
            history.filter(pl.col("metric") == metric), metric, order, [a for a in alerts if a["metric"] == metric]
        )
        for number, metric in enumerate(metrics)
    }
    if report is not None:
        plots["confusion"] = plot_confusion(report)
    return {
        "experiment": experiment,
        "lede": _lede(runs, metrics, alerts),
        "cards": [_card(runs, metric) for metric in metrics if runs[metric][0] is not None][:MOST_CARDS],
        "metrics": [(f"metric-{number}", metric) for number, metric in enumerate(metrics)],
        "shown": f"The latest {MOST_RUNS} of {runs.height} runs." if runs.height > MOST_RUNS else "",
        "alerts": [{**alert, "at": alert["at"][:19].replace("T", " ")} for alert in reversed(alerts)],
        "cost": None if report is None else f"{report['cost_per_item']:.4g}",
        "columns": metrics,
        "rows": [_row(row, metrics) for row in runs.head(MOST_ROWS).iter_rows(named=True)],
        "plots": plots,
    }


def _lede(runs: pl.DataFrame, metrics: Sequence[str], alerts: Sequence[Mapping[str, Any]]) -> str:
    raised = sum(1 if alert["state"] == "raised" else -1 for alert in alerts)
    said = "no rule is raised" if raised == 0 else f"{raised} {'rule is' if raised == 1 else 'rules are'} raised"
    return f"{runs.height} {'run' if runs.height == 1 else 'runs'}, {len(metrics)} metrics; in the latest run {said}."


def _card(runs: pl.DataFrame, metric: str) -> dict[str, str]:
    """The latest value, and how it compares with the best of the other runs."""
    value, others = runs[metric][0], runs[metric][1:].drop_nulls().drop_nans()
    card = {"name": metric.replace("_", " "), "value": _figure(value), "detail": "of no other run", "tone": ""}
    if others.len() == 0:
        return card
    lower = is_lower_better(metric)
    best = others.min() if lower else others.max()
    assert isinstance(best, float), "there are other values"
    better = value < best if lower else value > best
    tone = "" if value == best else "good" if better else "bad"
    return {**card, "detail": f"the best of the other runs: {_figure(best)}", "tone": tone}


def _row(row: Mapping[str, Any], metrics: Sequence[str]) -> dict[str, Any]:
    params = [
        f"{name.removeprefix('param ')} {value}" for name, value in row.items() if name.startswith("param ") and value
    ]
    return {
        "name": row["name"],
        "status": row["status"].lower(),
        "started": f"{row['started']:%Y-%m-%d %H:%M}",
        "values": [(metric, _figure(row[metric])) for metric in metrics],
        "params": ", ".join(params),
    }


def _figure(value: float | None) -> str:
    return "–" if value is None or value != value else f"{value:.4g}".replace("-", "−")
