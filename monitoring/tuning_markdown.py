"""The result of a search as Markdown, for pages that show it."""

from collections.abc import Mapping
from typing import Any

from monitoring.tuning_terminal import outcome_text, tuning_lines


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
