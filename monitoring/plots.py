"""The plots of the report page, as plain plotly figures: dictionaries of data and layout.

A record is one batch of the report that `lehr run` writes.
"""

import math
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any, get_args

from monitoring.performance import LOWER_IS_BETTER, METRICS, SignalMetric

Record = Mapping[str, Any]
Plot = dict[str, Any]

INK, MUTED, GRID = "#1d2733", "#66727f", "#e6eaee"
FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"
# The loop last, so that it lies above what it is compared with.
LINES = {
    "score_no_change": ("no-change predictor", "#b4a37f", "dot"),
    "score_static": ("static first champion", "#98a2b0", "solid"),
    "score_sliding": ("sliding retrain", "#8b5cd6", "dot"),
    "score_retrained": ("cumulative retrain", "#e08a1e", "dash"),
    "score_estimated": ("estimated until labels come", "#5aa9a4", "dot"),
    "score_before": ("the loop", "#0b7a75", "solid"),
}
ACTIONS = {
    "bootstrap": "#1d2733",
    "retrain": "#0b5d78",
    "update": "#0b9a8d",
    "patch": "#8fd3c8",
    "none": "#d5dbe1",
    "quarantined": "#d64a3a",
}
RATIO_SHOWN = 4.0
RATIO_COLOURS = [[0, "#f3f7f7"], [0.2499, "#cfe4e1"], [0.25, "#fde2b8"], [0.5, "#f39a4a"], [1, "#b3261e"]]
MOST_CHANNELS = 40
OWN_CHANNELS = {"the target": "target", "the predictions": "predictions"}


def metric_value(value: Any, metric: str) -> float | None:
    """A score given as a number or under its metric's name; None where there is none or it is not finite."""
    number = value.get(metric) if isinstance(value, Mapping) else value
    return float(number) if isinstance(number, (int, float)) and math.isfinite(number) else None


def is_share(metric: str) -> bool:
    """Whether the metric is a share of 1, shown as a percentage."""
    return metric in (*METRICS["classification"], *get_args(SignalMetric)) and metric not in LOWER_IS_BETTER


def plot_scores(records: Sequence[Record], metric: str, means: Mapping[str, str]) -> Plot:
    """Scores over batches, and below them what was decided and what the gate said.

    means: for each line to draw, its mean as text for the legend.
    """
    x = [r["batch"] for r in records]
    number = ".1%" if is_share(metric) else ".4~g"
    lines = [
        _line(key, x, [metric_value(r.get(key), metric) for r in records], means[key], number)
        for key in LINES
        if key in means
    ]
    layout = _layout(460, {**_batch_axis(records), "anchor": "y2"})
    layout["yaxis"] = {
        **_axis(), "domain": [0.2, 1], "tickformat": ".0%" if is_share(metric) else "~g",
    }  # fmt: skip
    layout["yaxis2"] = {
        **_axis(), "domain": [0, 0.14], "range": [-0.6, 1.6], "tickvals": [1, 0], "ticktext": ["decided", "gate"],
        "showgrid": False,
    }  # fmt: skip
    layout["shapes"] = [_shade(r["batch"]) for r in records if r["status"] == "quarantined"]
    layout["legend"] = {"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom", "traceorder": "reversed"}
    layout["hovermode"] = "x unified"
    return {"data": [*lines, _decisions(records), *_verdicts(records)], "layout": layout}


def plot_drift(records: Sequence[Record]) -> Plot | None:
    """Distance over threshold of every channel as a heat map over batches; None where nothing was watched.

    Target and predictions stand on top, then the features; of very many only those that moved most.
    """
    watched = [(r, channels_of(r)) for r in records]
    names = _channels_shown([channels for _, channels in watched])
    if not names:
        return None
    rows = [[channels.get(name, {}) for _, channels in watched] for name in names]
    trace = {
        "type": "heatmap", "x": [r["batch"] for r in records], "y": [_label(n) for n in names],
        "z": [[_shown_ratio(d) for d in row] for row in rows],
        "customdata": [[[_figure(d.get("distance")), _figure(d.get("threshold"))] for d in row] for row in rows],
        "zmin": 0, "zmax": RATIO_SHOWN, "colorscale": RATIO_COLOURS, "xgap": 2, "ygap": 2, "hoverongaps": False,
        "hovertemplate": "batch %{x}<br>%{y}<br>distance %{customdata[0]}<br>threshold %{customdata[1]}<extra></extra>",
        "showscale": False,
    }  # fmt: skip
    layout = _layout(56 + 22 * len(names), {**_batch_axis(records), "showgrid": False})
    layout["yaxis"] = {**_axis(), "autorange": "reversed", "showgrid": False, "type": "category"}
    layout["shapes"] = [_shade(r["batch"]) for r in records if r["status"] == "quarantined"]
    return {"data": [trace], "layout": layout}


def plot_costs(records: Sequence[Record]) -> Plot:
    """Samples processed at each batch by the loop and, where it was run, by the cumulative retrain."""
    x = [r["batch"] for r in records]
    loop = {
        "type": "bar", "name": "the loop", "x": x, "y": [_samples(r.get("cost")) or 0 for r in records],
        "marker": {"color": LINES["score_before"][1]},
        "hovertemplate": "%{y:,} samples<extra>the loop</extra>",
    }  # fmt: skip
    retrained = [_samples(r.get("cost_retrained")) for r in records]
    line = {
        "type": "scatter", "mode": "lines+markers", "name": "cumulative retrain", "x": x, "y": retrained,
        "line": {"color": LINES["score_retrained"][1], "dash": "dash", "width": 2}, "connectgaps": True,
        "hovertemplate": "%{y:,} samples<extra>cumulative retrain</extra>",
    }  # fmt: skip
    layout = _layout(260, _batch_axis(records))
    layout["yaxis"] = {
        **_axis(),
        "rangemode": "tozero",
        "tickformat": "~s",
    }
    layout["legend"] = {"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom"}
    layout["hovermode"] = "x unified"
    layout["bargap"] = 0.35
    return {"data": [loop, line] if any(retrained) else [loop], "layout": layout}


def count_channels(records: Sequence[Record]) -> int:
    """How many channels were watched over all batches."""
    return len({name for r in records for name in channels_of(r)})


def _line(key: str, x: list[int], y: list[float | None], mean: str, number: str) -> dict[str, Any]:
    name, colour, dash = LINES[key]
    loop = key == "score_before"
    return {
        "type": "scatter", "mode": "lines+markers", "name": f"{name} <b>{mean}</b>", "x": x, "y": y,
        "connectgaps": True,
        "line": {"color": colour, "dash": dash, "width": 3 if loop else 2},
        "marker": {"size": 8 if loop and len(x) <= 25 else 4, "color": colour},
        "hovertemplate": f"%{{y:{number}}}<extra>{name}</extra>",
    }  # fmt: skip


def _decisions(records: Sequence[Record]) -> dict[str, Any]:
    actions = [action_of(r) for r in records]
    colours = [ACTIONS.get(action, MUTED) for action in actions]
    return {
        "type": "scatter", "mode": "markers", "yaxis": "y2",
        "x": [r["batch"] for r in records], "y": [1] * len(records),
        "marker": {"symbol": "square", "size": 13 if len(records) <= 25 else 8, "color": colours},
        "text": actions, "hovertemplate": "%{text}<extra>decided</extra>", "showlegend": False,
    }  # fmt: skip


def _verdicts(records: Sequence[Record]) -> list[dict[str, Any]]:
    promoted = [r for r in records if r.get("promoted")]
    refused = [r for r in records if r.get("gate") and not r["gate"]["passed"] and not r.get("promoted")]
    failed = [", ".join(c["name"] for c in r["gate"]["checks"] if not c["passed"]) for r in refused]
    return [
        _marks(
            promoted, "triangle-up", LINES["score_before"][1], [f"version {r['champion']} promoted" for r in promoted]
        ),
        _marks(refused, "x", ACTIONS["quarantined"], [f"refused: {escape(names)}" for names in failed]),
    ]


def _marks(records: Sequence[Record], symbol: str, colour: str, texts: list[str]) -> dict[str, Any]:
    return {
        "type": "scatter", "mode": "markers", "yaxis": "y2",
        "x": [r["batch"] for r in records], "y": [0] * len(records),
        "marker": {"symbol": symbol, "size": 10, "color": colour}, "text": texts,
        "hovertemplate": "%{text}<extra>gate</extra>", "showlegend": False,
    }  # fmt: skip


def action_of(record: Record) -> str:
    """What was done with a batch: the rung that the ladder reached, the decision, or its quarantine."""
    if record["status"] != "accepted":
        return str(record["status"])
    decision = record.get("decision") or {"action": "none"}
    return str(record.get("action_taken") or decision["action"])


def channels_of(record: Record) -> dict[str, Mapping[str, Any]]:
    """Distance and threshold by channel: the target, the predictions, and each feature."""
    drift = record.get("drift") or {}
    own = {name: drift[role] for name, role in OWN_CHANNELS.items() if drift.get(role)}
    return {**own, **drift.get("features", {})}


def _channels_shown(watched: Sequence[Mapping[str, Mapping[str, Any]]]) -> list[str]:
    names = list(dict.fromkeys(name for channels in watched for name in channels))
    if len(names) <= MOST_CHANNELS:
        return names
    farthest = {name: max(_shown_ratio(c.get(name, {})) or 0.0 for c in watched) for name in names}
    kept = set(sorted(names, key=lambda name: (name not in OWN_CHANNELS, -farthest[name]))[:MOST_CHANNELS])
    return [name for name in names if name in kept]


def _shown_ratio(channel: Mapping[str, Any]) -> float | None:
    distance, threshold = channel.get("distance"), channel.get("threshold")
    if distance is None or threshold is None or math.isnan(distance) or math.isnan(threshold):
        return None
    if threshold <= 0:
        return RATIO_SHOWN if distance > 0 else 0.0
    return min(distance / threshold, RATIO_SHOWN)


def _figure(value: float | None) -> str:
    return "–" if value is None else f"{value:.3g}"


def _samples(cost: Mapping[str, Any] | None) -> int | None:
    return None if not cost else int(cost["samples"])


def _label(name: str) -> str:
    """A name as plotly shows it unchanged: it reads some tags, and a long one would leave no room for the plot."""
    return escape(name if len(name) <= 24 else f"{name[:14]}…{name[-9:]}")


def _layout(height: int, x_axis: dict[str, Any]) -> dict[str, Any]:
    return {
        "height": height, "margin": {"l": 8, "r": 8, "t": 8, "b": 8}, "xaxis": x_axis,
        "font": {"family": FONT, "size": 13, "color": INK},
        "paper_bgcolor": "rgba(0,0,0,0)", "plot_bgcolor": "rgba(0,0,0,0)",
        "hoverlabel": {"bgcolor": "white", "bordercolor": GRID, "font": {"color": INK, "family": FONT}},
    }  # fmt: skip


def _batch_axis(records: Sequence[Record]) -> dict[str, Any]:
    numbers = [r["batch"] for r in records]
    ticks = {"dtick": 1} if len(numbers) <= 16 else {"nticks": 20}
    spread = [min(numbers) - 0.6, max(numbers) + 0.6]
    return {
        **_axis(), **ticks, "title": {"text": "batch", "standoff": 6, "font": {"size": 12, "color": MUTED}},
        "range": spread, "tickformat": "d",
        "showgrid": False,
    }  # fmt: skip


def _axis() -> dict[str, Any]:
    return {
        "gridcolor": GRID,
        "zeroline": False,
        "automargin": True,
        "ticks": "",
        "tickfont": {"color": MUTED, "size": 12},
    }


def _shade(batch: int) -> dict[str, Any]:
    return {
        "type": "rect", "layer": "below", "xref": "x", "yref": "paper", "x0": batch - 0.5, "x1": batch + 0.5,
        "y0": 0, "y1": 1, "fillcolor": "rgba(214, 74, 58, 0.10)", "line": {"width": 0},
    }  # fmt: skip
