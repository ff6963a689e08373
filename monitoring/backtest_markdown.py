"""The result of a backtest as Markdown and rows, for pages that show both."""

from collections.abc import Mapping
from typing import Any

from monitoring.backtest_terminal import prices_text, snippet, verdict
from monitoring.performance import LOWER_IS_BETTER
from monitoring.terminal import figure


def backtest_markdown(result: Mapping[str, Any]) -> str:
    """Which trigger would have served best, and what a training more would have brought."""
    named: dict[tuple[int, float], list[str]] = {}
    for row in result["policies"]:
        if row["name"] != "oracle":
            named.setdefault((row["trainings"], row["score"]), []).append(row["name"])
    points = [
        f"| {trainings} | {figure(score)} | {', '.join(named.get((trainings, score), [])) or '–'} |"
        for trainings, score in frontier(result)
    ]
    metric = result["metric"].replace("_", " ")
    return "\n".join(
        [
            f"## {result['pipeline']}: policies on {result['batches']} batches\n",
            f"{verdict(result)}\n\n```yaml\n{snippet(result)}\n```\n",
            f"Prices: {prices_text(result['prices'])}. {result['note'].capitalize()}.\n",
            f"### The best mean {metric} for so many trainings\n",
            f"Of {result['searched']:,} triggers and the named policies; what is not listed reaches no more.\n",
            f"| trainings | mean {metric} | policies |",
            "|---:|---:|---|",
            *points,
        ]
    )


def policy_rows(result: Mapping[str, Any]) -> list[dict[str, Any]]:
    """A row a policy, cheapest first."""
    metric = f"mean {result['metric'].replace('_', ' ')}"
    return [
        {
            "policy": row["name"],
            "trainings": row["trainings"],
            "samples learned": row["samples"],
            metric: figure(row["score"]),
            "points lost": f"{row['points']:.1f}",
            "cost": f"{row['cost']:.1f}",
            "over hindsight": "–" if row["over_oracle"] is None else f"{row['over_oracle']:+.1%}",
            "what it does": row["text"],
        }
        for row in sorted(result["policies"], key=lambda row: (row["cost"], row["name"] != "oracle"))
    ]


def frontier(result: Mapping[str, Any]) -> list[tuple[int, float]]:
    """Trainings and score of what is better than all that trains no more often, fewest trainings first."""
    sign = -1 if result["metric"] in LOWER_IS_BETTER else 1
    named = [(row["trainings"], row["score"]) for row in result["policies"] if row["name"] != "oracle"]
    tried = {(int(trainings), float(score)) for trainings, score in [*result["tried"], *named]}
    found: list[tuple[int, float]] = []
    for trainings, score in sorted(tried, key=lambda point: (point[0], -sign * point[1])):
        if not found or sign * score > sign * found[-1][1]:
            found.append((trainings, score))
    return found
