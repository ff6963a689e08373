"""The result of a search as a table and lines for a terminal."""

from collections.abc import Mapping
from statistics import mean as mean_of
from typing import Any

from rich.table import Table

SHOWN = 10

Result = Mapping[str, Any]
"""What `lehr tune --report` writes."""


def tuning_table(result: Result) -> Table:
    """The best trials, the pick first."""
    table = Table(title=f"{result['pipeline']}: {result['metric']} by trial", title_justify="left")
    rows = trial_rows(result)
    for column in rows[0]:
        table.add_column(column, justify="left" if column == "parameters" else "right")
    for row in rows[:SHOWN]:
        table.add_row(*row.values())
    return table


def trial_rows(result: Result) -> list[dict[str, str]]:
    """A row for each point at its longest training; again: its mean over the other splits that it was trained on."""
    names = [objective["name"] for objective in result["objectives"]]
    return [
        {
            "trial": mark(result, trial),
            **{name: f"{trial['values'][name]:.4g}" for name in names},
            **({"again": "" if (mean := again(result, trial)) is None else f"{mean:.4g}"} if result["finals"] else {}),
            "epochs": f"{trial['epochs']}",
            "seconds": f"{trial['details'].get('seconds', 0.0):.1f}",
            "parameters": point_text(trial),
        }
        for trial in ranked_trials(result)
    ]


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
    """Each point at its longest training: the pick, what was trained again, then the longest and best first."""
    objective, best = result["objectives"][0], result["best"]["point"]
    sign = 1 if objective["lower_is_better"] else -1
    measured = [trial for trial in result["trials"] if trial["values"] is not None]
    furthest = {point_text(trial): trial for trial in sorted(measured, key=lambda t: t["epochs"])}

    def place(trial: Mapping[str, Any]) -> tuple[bool, bool, int, float]:
        mean = again(result, trial)
        score = trial["values"][objective["name"]] if mean is None else mean
        return trial["point"] != best, mean is None, -trial["epochs"], sign * score

    return sorted(furthest.values(), key=place)


def again(result: Result, trial: Mapping[str, Any]) -> float | None:
    """The mean of the first objective over the trainings on other splits; None where there were none, or one failed."""
    finals = [final["values"] for final in result["finals"] if final["point"] == trial["point"]]
    if not finals or None in finals:
        return None
    return mean_of(values[result["objectives"][0]["name"]] for values in finals)


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
