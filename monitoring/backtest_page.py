"""The result of a backtest as one HTML page that needs nothing but a browser."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from monitoring.backtest_plots import plot_frontier, plot_sweep
from monitoring.backtest_terminal import prices_text, snippet, verdict
from monitoring.page import METRIC_NAMES
from monitoring.plots import is_share
from monitoring.rendering import render_page


def write_backtest_page(result: Mapping[str, Any], path: Path) -> None:
    """Write the page of a backtest: the trigger to paste, the frontier, the sweep of prices, and every policy.

    result: what `lehr backtest --report` writes.
    """
    render_page("backtest.html", backtest_view(result), path)


def backtest_view(result: Mapping[str, Any]) -> dict[str, Any]:
    """All that the page's template shows, as text and plots."""
    rows = {row["name"]: row for row in result["policies"]}
    metric = METRIC_NAMES.get(result["metric"], result["metric"].replace("_", " "))
    cards = [_card(name, rows[key]) for key, name in CARDS.items()]
    return {
        "pipeline": result["pipeline"],
        "metric": metric,
        "batches": result["batches"],
        "verdict": verdict(result).rstrip(":") + ".",
        "snippet": snippet(result),
        "note": result["note"],
        "approximation": result["approximation"],
        "prices": prices_text(result["prices"]),
        "refused": result["refused"],
        "cards": cards,
        "frontier": plot_frontier(result),
        "sweep": plot_sweep(result),
        "rows": [_row(row, result["metric"]) for row in sorted(result["policies"], key=lambda row: row["cost"])],
    }


CARDS: Mapping[str, str] = {
    "pipeline": "the pipeline's own",
    "best trigger": "best trigger",
    "oracle": "hindsight",
    "Evidently": "Evidently's defaults",
}


def _card(name: str, row: Mapping[str, Any]) -> dict[str, str]:
    count = f"{row['trainings']} training" + "s" * (row["trainings"] != 1)
    return {"name": name, "value": f"{row['cost']:,.0f}", "detail": f"{count}, {row['points']:,.0f} points lost"}


def _row(row: Mapping[str, Any], metric: str) -> dict[str, str]:
    over = row["over_oracle"]
    return {
        "name": row["name"],
        "text": row["text"],
        "trainings": str(row["trainings"]),
        "samples": f"{row['samples']:,}",
        "score": f"{100 * row['score']:.1f}%" if is_share(metric) else f"{row['score']:.4g}",
        "points": f"{row['points']:,.1f}",
        "cost": f"{row['cost']:,.1f}",
        "over": "–" if over is None else f"{100 * over:.1f}%",
    }
