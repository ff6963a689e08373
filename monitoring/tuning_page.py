"""The result of a search as one HTML page that needs nothing but a browser."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from monitoring.page import METRIC_NAMES
from monitoring.rendering import render_page
from monitoring.tuning_plots import plot_front, plot_history, plot_importance
from monitoring.tuning_terminal import count_stopped, outcome_text, point_text, trial_rows


def write_tuning_page(result: Mapping[str, Any], path: Path) -> None:
    """Write the page of a search: the pick and why, its history, what mattered, the front, and every trial.

    result: what `lehr tune --report` writes.
    """
    render_page("tuning.html", tuning_view(result), path)


def tuning_view(result: Mapping[str, Any]) -> dict[str, Any]:
    """All that the page's template shows, as text and plots."""
    plots = {
        "history": plot_history(result),
        "importance": plot_importance(result),
        "front": plot_front(result),
    }
    return {
        "pipeline": result["pipeline"],
        "metric": METRIC_NAMES.get(result["metric"], result["metric"].replace("_", " ")),
        "why": result["why"],
        "outcome": outcome_text(result).rstrip(":") + ".",
        "snippet": result["snippet"] if result["changed"] else "",
        "notes": result["notes"],
        "cards": _cards(result),
        "plots": {name: plot for name, plot in plots.items() if plot is not None},
        "again": bool(result["finals"]),
        "rows": trial_rows(result),
        "errors": [(point_text(trial), trial["error"]) for trial in result["trials"] if trial["error"] is not None],
    }


def _cards(result: Mapping[str, Any]) -> list[dict[str, str]]:
    points = len({point_text(trial) for trial in result["trials"]})
    stopped = f"{count_stopped(result)} stopped early, {result['seconds']:,.0f} s"
    cards = [{"name": "points tried", "value": f"{points}", "detail": stopped}]
    own = result["baseline"]
    for name, value in result["best"]["values"].items():
        before = "its own was not among them" if own is None else f"the pipeline's own: {own['values'][name]:.4g}"
        cards.append({"name": name.replace("_", " "), "value": f"{value:.4g}", "detail": before})
    return cards
