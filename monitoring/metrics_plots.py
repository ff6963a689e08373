"""The plots of a tracker's page, as plain plotly figures."""

from collections.abc import Mapping, Sequence
from math import isfinite
from typing import Any

import polars as pl

from monitoring.backtest_plots import titled_layout
from monitoring.plots import Plot

COLOURS = ("#0b7a75", "#e08a1e", "#8b5cd6", "#1d2733", "#98a2b0", "#d64a3a", "#5aa9a4", "#b4a37f")
MOST_RUNS = len(COLOURS)
RAISED, CLEARED = "#d64a3a", "#0b7a75"


def plot_metric(history: pl.DataFrame, metric: str, runs: Sequence[str], alerts: Sequence[Mapping[str, Any]]) -> Plot:
    """One metric over steps, a line a run, with the alerts of this tracker's run on it.

    history: of this metric. runs: ids, the latest first; of many, the latest.
    """
    lines = [
        _line(history.filter(pl.col("run") == run), COLOURS[place], latest=place == 0)
        for place, run in enumerate(runs[:MOST_RUNS])
    ]
    layout = titled_layout(280, "step", metric)
    layout["showlegend"] = len(lines) > 1
    layout["hovermode"] = "x unified"
    return {"data": [*reversed(lines), *_alert_marks(alerts)], "layout": layout}


def plot_confusion(report: Mapping[str, Any]) -> Plot:
    """What was said where something was true, as shares of each truth, with the counts in the cells."""
    counts, labels = report["confusion"], report["labels"]
    shares = [[count / max(1, sum(row)) for count in row] for row in counts]
    trace = {
        "type": "heatmap", "x": labels, "y": labels, "z": shares, "text": counts, "texttemplate": "%{text:,}",
        "zmin": 0, "zmax": 1, "colorscale": [[0, "#f3f7f7"], [1, "#0b9a8d"]], "xgap": 2, "ygap": 2, "showscale": False,
        "hovertemplate": "true %{y}, said %{x}<br>%{text:,}, %{z:.1%}<extra></extra>",
    }  # fmt: skip
    layout = titled_layout(120 + 44 * len(labels), "said", "true")
    layout["yaxis"] |= {"autorange": "reversed", "type": "category"}
    layout["xaxis"] |= {"type": "category"}
    return {"data": [trace], "layout": layout}


def _line(values: pl.DataFrame, colour: str, latest: bool) -> dict[str, Any]:
    return {
        "type": "scatter", "mode": "lines+markers", "name": values["name"][0] if values.height else "",
        "x": values["step"].to_list(), "y": _numbers(values["value"]),
        "line": {"color": colour, "width": 3 if latest else 1.5}, "marker": {"size": 5 if values.height <= 60 else 1},
        "hovertemplate": "%{y:.4~g}", "connectgaps": False,
    }  # fmt: skip


def _alert_marks(alerts: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Where rules were raised and cleared."""
    if not alerts:
        return []
    values = pl.Series([alert["value"] for alert in alerts], dtype=pl.Float64)
    colours = [RAISED if alert["state"] == "raised" else CLEARED for alert in alerts]
    return [
        {
            "type": "scatter", "mode": "markers", "name": "alerts", "showlegend": False,
            "x": [alert["step"] for alert in alerts], "y": _numbers(values),
            "text": [alert["text"] for alert in alerts], "hovertemplate": "%{text}<extra></extra>",
            "marker": {"size": 12, "symbol": "circle-open", "line": {"width": 3}, "color": colours},
        }
    ]  # fmt: skip


def _numbers(values: pl.Series) -> list[float | None]:
    """Values as JSON has them: none for what is no number."""
    return [value if value is not None and isfinite(value) else None for value in values]
