"""The result of a search as Markdown and rows, for pages that show both."""

from collections.abc import Mapping
from typing import Any

from monitoring.tuning_terminal import mark, outcome_text, point_text, ranked_trials, tuning_lines


def tuning_markdown(result: Mapping[str, Any]) -> str:
    """The pick and why, what came of it, and what mattered."""
    found = f"\n```yaml\n{result['snippet'].rstrip()}\n```\n" if result["changed"] else ""
    shares = sorted(result["importance"].items(), key=lambda item: -item[1])
    rows = [f"| {name} | {share:.0%} |" for name, share in shares]
    mattered = ["### What mattered\n", "| parameter | share |", "|---|---:|", *rows]
    lines = tuning_lines(result)
    said = [f"- {line}" for line in lines[: lines.index(outcome_text(result))]]
    head = f"## {result['pipeline']}: hyper-parameters\n"
    return "\n".join([head, f"{outcome_text(result).rstrip(':')}.\n{found}", *said, "", *(mattered if shares else [])])


def trial_rows(result: Mapping[str, Any]) -> list[dict[str, str]]:
    """A row for each trial that was trained for longest, the pick first."""
    names = [objective["name"] for objective in result["objectives"]]
    return [
        {
            "trial": mark(result, trial),
            **{name: f"{trial['values'][name]:.4g}" for name in names},
            "seconds": f"{trial['details'].get('seconds', 0.0):.1f}",
            "parameters": point_text(trial),
        }
        for trial in ranked_trials(result)
    ]
