"""The result of a backtest for a terminal."""

from collections.abc import Mapping, Sequence
from typing import Any

import yaml
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from monitoring.terminal import figure


def backtest_table(result: Mapping[str, Any]) -> RenderableType:
    """A row a policy, cheapest first, and below them the trigger to paste."""
    metric = result["metric"]
    table = Table(title=f"{result['pipeline']}: policies on {result['batches']} batches", title_justify="left")
    for column in ("policy", "trainings", "samples learned", f"mean {metric}", "points lost", "cost", "over oracle"):
        table.add_column(column, justify="left" if column == "policy" else "right")
    table.add_column("what it does")
    for row in sorted(result["policies"], key=lambda row: (row["cost"], row["name"] != "oracle")):
        table.add_row(*_cells(row), style="bold" if row["name"] in ("oracle", "pipeline", "best trigger") else None)
    lines = [verdict(result), result["note"], f"prices: {prices_text(result['prices'])}"]
    return Group(table, *(Text(line) for line in lines), Text(snippet(result), style="cyan"))


def verdict(result: Mapping[str, Any]) -> str:
    """Which policy would have served best at these prices, in one sentence."""
    rows = {row["name"]: row for row in result["policies"]}
    best, own = rows["best trigger"], rows["pipeline"]
    saved = own["cost"] - best["cost"]
    against = (
        f"{saved / own['cost']:.1%} less than the pipeline's own" if saved > 0 else "as much as the pipeline's own"
    )
    return (
        f"Of {result['searched']:,} triggers this one would have served best at these prices, at a cost of "
        f"{best['cost']:.1f}, {against}:"
    )


def snippet(result: Mapping[str, Any]) -> str:
    """The best trigger as a line of a pipeline file."""
    flow = yaml.safe_dump(result["best"]["trigger"], default_flow_style=True, sort_keys=False, width=200).strip()
    return f"trigger: {flow}"


def _cells(row: Mapping[str, Any]) -> Sequence[str]:
    over = row["over_oracle"]
    return [
        row["name"],
        str(row["trainings"]),
        f"{row['samples']:,}",
        figure(row["score"]),
        f"{row['points']:.1f}",
        f"{row['cost']:.1f}",
        "–" if over is None else f"{over:+.1%}",
        row["text"],
    ]


def prices_text(prices: Mapping[str, float]) -> str:
    """The prices in words."""
    sample = f", {prices['sample']:g} a sample" if prices["sample"] else ""
    return f"{prices['training']:g} a training{sample}, {prices['point']:g} a point of score lost on a batch"
