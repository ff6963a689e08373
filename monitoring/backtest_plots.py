"""The plots of a backtest's page, as plain plotly figures."""

from collections.abc import Mapping, Sequence
from typing import Any

from monitoring.performance import LOWER_IS_BETTER
from monitoring.plots import FONT, GRID, INK, MUTED, Plot, is_share

OWN, BEST, ORACLE, OTHER, FAINT = "#0b7a75", "#e08a1e", "#1d2733", "#98a2b0", "#cfe4e1"
COLOURS = {"pipeline": OWN, "best trigger": BEST, "oracle": ORACLE}
SWEPT = {
    "always": ("#8b5cd6", "dot"),
    "every 2": ("#b4a37f", "dot"),
    "Evidently": ("#d64a3a", "dash"),
    "ADWIN": ("#98a2b0", "dash"),
    "priced": (BEST, "solid"),
    "pipeline": (OWN, "solid"),
}
"""Drawn over prices, the more important last."""


def plot_frontier(result: Mapping[str, Any]) -> Plot:
    """Score against trainings: every trigger that was tried, the named policies, and what hindsight could reach."""
    tried, metric = result["tried"], result["metric"]
    cloud = {
        "type": "scatter", "mode": "markers", "name": f"{result['searched']:,} triggers", "hoverinfo": "skip",
        "x": [x for x, _ in tried], "y": [y for _, y in tried], "marker": {"size": 5, "color": FAINT},
    }  # fmt: skip
    ideals = [at["policies"]["oracle"] for at in result["sweep"]]
    ideal = sorted({(row["trainings"], row["score"]) for row in ideals})
    line = {
        "type": "scatter", "mode": "lines+markers", "name": "hindsight, at nine prices",
        "x": [x for x, _ in ideal], "y": [y for _, y in ideal], "line": {"color": ORACLE, "width": 2},
        "marker": {"size": 5}, "hovertemplate": "%{x} trainings, %{y:.4~g}<extra>hindsight</extra>",
    }  # fmt: skip
    layout = titled_layout(460, "trainings", metric)
    layout["yaxis"]["tickformat"] = ".0%" if is_share(metric) else "~g"
    if metric in LOWER_IS_BETTER:
        layout["yaxis"]["autorange"] = "reversed"
    return {"data": [cloud, line, _named(result)], "layout": layout}


def plot_sweep(result: Mapping[str, Any]) -> Plot:
    """How much more than the oracle policies cost, over the price of a training."""
    prices = [at["price_training"] for at in result["sweep"] if at["price_training"] > 0]
    lines = [
        {
            "type": "scatter", "mode": "lines+markers", "name": name, "x": prices,
            "y": [_over(at, name) for at in result["sweep"] if at["price_training"] > 0],
            "line": {"color": colour, "dash": dash, "width": 3 if name in ("pipeline", "priced") else 2},
            "marker": {"size": 5}, "hovertemplate": f"%{{y:.1%}}<extra>{name}</extra>",
        }
        for name, (colour, dash) in SWEPT.items()
    ]  # fmt: skip
    layout = titled_layout(360, "price of a training", "over the oracle")
    layout["xaxis"] |= {"type": "log", "tickvals": prices, "ticktext": [f"{price:g}" for price in prices]}
    layout["yaxis"] |= {"tickformat": ".0%", "rangemode": "tozero"}
    layout["hovermode"] = "x unified"
    return {"data": lines, "layout": layout}


def _over(at: Mapping[str, Any], name: str) -> float | None:
    least = at["policies"]["oracle"]["cost"]
    return at["policies"][name]["cost"] / least - 1 if least > 0 else None


def _named(result: Mapping[str, Any]) -> dict[str, Any]:
    """The named policies; those that come to the same share a point."""
    points: dict[tuple[int, float], list[Mapping[str, Any]]] = {}
    for row in result["policies"]:
        points.setdefault((row["trainings"], row["score"]), []).append(row)
    return {
        "type": "scatter", "mode": "markers+text", "name": "policies", "showlegend": False,
        "x": [x for x, _ in points], "y": [y for _, y in points], "textposition": "top center",
        "text": [", ".join(row["name"] for row in rows) for rows in points.values()],
        "textfont": {"size": 11, "color": MUTED},
        "marker": {"size": 10, "color": [_colour(r) for r in points.values()]},
        "customdata": [f"{rows[0]['cost']:.1f}" for rows in points.values()],
        "hovertemplate": "<b>%{text}</b><br>%{x} trainings, %{y:.4~g}<br>cost %{customdata}<extra></extra>",
    }  # fmt: skip


def _colour(rows: Sequence[Mapping[str, Any]]) -> str:
    return next((COLOURS[row["name"]] for row in rows if row["name"] in COLOURS), OTHER)


def titled_layout(height: int, x: str, y: str) -> dict[str, Any]:
    """A plot's layout with a title on each axis."""

    def axis(title: str) -> dict[str, Any]:
        return {
            "title": {"text": title.replace("_", " "), "font": {"size": 12, "color": MUTED}}, "gridcolor": GRID,
            "zeroline": False, "automargin": True, "ticks": "", "tickfont": {"color": MUTED, "size": 12},
        }  # fmt: skip

    return {
        "height": height, "margin": {"l": 8, "r": 8, "t": 8, "b": 8}, "xaxis": axis(x), "yaxis": axis(y),
        "font": {"family": FONT, "size": 13, "color": INK},
        "legend": {"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom"},
        "paper_bgcolor": "rgba(0,0,0,0)", "plot_bgcolor": "rgba(0,0,0,0)",
        "hoverlabel": {"bgcolor": "white", "bordercolor": GRID, "font": {"color": INK, "family": FONT}},
    }  # fmt: skip
