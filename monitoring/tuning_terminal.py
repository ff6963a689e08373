"""The result of a search as a table and lines for a terminal."""

from collections.abc import Mapping
from typing import Any

from rich.table import Table

SHOWN = 10

Result = Mapping[str, Any]
"""What `lehr tune --report` writes."""


def tuning_table(result: Result) -> Table:
    """The best trials that were trained in full, the pick first."""
    names = [objective["name"] for objective in result["objectives"]]
    table = Table(title=f"{result['pipeline']}: {result['metric']} by trial", title_justify="left")
    for column in ["trial", *names, "seconds", "parameters"]:
        table.add_column(column, justify="left" if column == "parameters" else "right")
    for trial in ranked_trials(result)[:SHOWN]:
        values = [f"{trial['values'][name]:.4g}" for name in names]
        table.add_row(mark(result, trial), *values, f"{trial['details'].get('seconds', 0.0):.1f}", point_text(trial))
    return table


def tuning_lines(result: Result) -> list[str]:
    """Why the pick is the pick, what came of it, and what to put into the pipeline file."""
    stopped = count_stopped(result)
    points = len({str(trial["point"]) for trial in result["trials"]})
    unit = "signals" if result["task"] == "representation" else "samples"
    lines = [
        f"{points} points on {result['rows']:,} {unit} in {result['seconds']:.1f} s, {stopped} of them stopped early",
        f"picked: {result['why']}",
        *(f"note: {note}" for note in result["notes"]),
    ]
    if result["baseline"] is not None:
        lines.append(f"the pipeline's own parameters: {values_text(result['baseline'])}")
    return [*lines, outcome_text(result), *(["", result["snippet"].rstrip()] if result["changed"] else [])]


def outcome_text(result: Result) -> str:
    """What the gate said of the candidate."""
    record = result["record"]
    if not result["changed"]:
        return "nothing better than the pipeline's own parameters was found"
    if record is None or record["decision"]["action"] == "none":
        return "only searched; to keep it, put this into the pipeline file:"
    if record["promoted"]:
        return f"version {record['champion']} is in production; so that retrains learn so too, put this into its file:"
    failed = [check["text"] for check in (record["gate"] or {"checks": []})["checks"] if not check["passed"]]
    return (
        f"the gate refused the candidate ({record['conflict'] or '; '.join(failed) or 'nothing to learn'}); found was:"
    )


def ranked_trials(result: Result) -> list[Mapping[str, Any]]:
    """What was trained for longest, the pick first, then by the first objective."""
    objective = result["objectives"][0]
    sign = 1 if objective["lower_is_better"] else -1
    whole = [t for t in result["trials"] if t["values"] is not None and t["epochs"] == result["best"]["epochs"]]
    others = [trial for trial in whole if trial["point"] != result["best"]["point"]]
    return [result["best"], *sorted(others, key=lambda t: sign * t["values"][objective["name"]])]


def count_stopped(result: Result) -> int:
    """Points that were not trained in full."""
    furthest: dict[str, int] = {}
    for trial in result["trials"]:
        furthest[str(trial["point"])] = max(trial["epochs"], furthest.get(str(trial["point"]), 0))
    return sum(epochs < result["best"]["epochs"] for epochs in furthest.values())


def mark(result: Result, trial: Mapping[str, Any]) -> str:
    """A trial's number, and what is special about it."""
    own = result["baseline"] is not None and trial["point"] == result["baseline"]["point"]
    on_front = len(result["objectives"]) > 1 and any(t["number"] == trial["number"] for t in result["front"])
    marks = ["picked"] * (trial["number"] == result["best"]["number"]) + ["own"] * own + ["front"] * on_front
    return " ".join([*marks, str(trial["number"])])


def values_text(trial: Mapping[str, Any]) -> str:
    """A trial's objectives."""
    return ", ".join(f"{name} {value:.4g}" for name, value in (trial["values"] or {}).items())


def point_text(trial: Mapping[str, Any]) -> str:
    """A trial's parameters."""
    values = trial["point"].items()
    return ", ".join(f"{name} {value:.3g}" if isinstance(value, float) else f"{name} {value}" for name, value in values)
