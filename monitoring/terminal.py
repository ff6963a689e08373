"""The report of a run as lines and a table for a terminal."""

import sys
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from monitoring.causes import cause_in_words
from monitoring.sight import sight_of

STATUS_STYLE = {"accepted": "green", "quarantined": "red", "duplicate": "dim"}


def unit_of(task: str) -> str:
    """What the batches of a task are made of."""
    return "signals" if task == "representation" else "rows"


def open_console() -> Console:
    """A console on the terminal; 140 columns where the output goes to a file or a pipe.

    What it prints is text, never markup: ids and names of files come from users.
    """
    return Console(highlight=False, markup=False, emoji=False, width=None if sys.stdout.isatty() else 140)


def batch_line(record: Mapping[str, Any], metric: str, unit: str = "rows") -> Text:
    """One line on one batch: what came, how the champion scored, what was decided and what came of it.

    unit: what batches are made of (`unit_of`).
    """
    line = Text.assemble(
        (f"{record['batch']:>3} ", "bold"),
        (f"{record['status']:<11} ", STATUS_STYLE[record["status"]]),
        f"{record['name']}  ",
    )
    if record["status"] == "duplicate":
        return line.append("seen before, nothing changed", "dim")
    if record["status"] == "quarantined":
        return line.append(record["reason"], "red")
    line.append(f"{record['rows']:,} {unit}" if not record.get("labels") else labels_text(record))
    if record["rows_quarantined"]:
        line.append(f" (+{record['rows_quarantined']:,} quarantined)", "red")
    if record["score_before"] is not None:
        line.append(f"  {metric} {figure(record['score_before'][metric])}", "cyan")
    elif record.get("score_estimated") is not None:
        line.append(f"  {estimate_text(record['estimate'], metric)}", "cyan dim")
    for known in record.get("completed", []):
        guess = "" if known["estimated"] is None else f", {figure(known['estimated'])} estimated"
        line.append(f" (batch {known['batch']}: {figure(known['score'])}{guess})", "dim")
    if (confirmed := record.get("confirmed")) is not None and confirmed["passed"]:
        line.append(f"  version {confirmed['version']} confirmed: {confirmed['reason']}", "green")
    if record.get("revoked") is not None:
        line.append(f"  ← version {record['revoked']['champion']} is back: {record['revoked']['reason']}", "magenta")
    if (record.get("rivalry") or {}).get("ended"):
        line.append(f"  ← {record['rivalry']['ended']}", "magenta")
    line.append_text(_triage(record.get("triage")))
    if record["decision"] is not None:
        line.append(f"  {record['decision']['action']}: {record['decision']['reason']}")
    return line.append_text(_outcome(record))


def _triage(triage: Mapping[str, Any] | None) -> Text:
    """What happened, where anything did."""
    if triage is None or (triage["cause"] == "none" and not triage["also"]):
        return Text()
    words = cause_in_words(triage)
    return Text(f"  {words}: {triage['reason']}", "red" if triage["set_aside"] else "yellow")


def labels_text(record: Mapping[str, Any]) -> str:
    """What became of labels that came later than their rows."""
    labels = record["labels"]
    of = f" of batch{'es' if len(labels['batches']) > 1 else ''} {', '.join(map(str, labels['batches']))}"
    found = f"labels for {record['rows']:,} rows{of if labels['batches'] else ''}"
    return f"{found}, {labels['known']:,} known already, {labels['waiting']:,} wait for their rows"


def _outcome(record: Mapping[str, Any]) -> Text:
    if record["promoted"]:
        return Text(
            f"  → version {record['champion']} promoted{' on an estimate' * bool(record.get('on_estimate'))}", "green"
        )
    if record["gate"] is None:
        return Text()
    refused = ", ".join(check["name"] for check in record["gate"]["checks"] if not check["passed"])
    return Text(f"  → refused ({refused})", "yellow")


def report_table(report: Mapping[str, Any]) -> RenderableType:
    """The whole run: a row a batch, and the summary below."""
    metric = report["metric"]
    compared = any("score_static" in record for record in report["batches"])
    table = Table(title=f"{report['pipeline']}: {metric} by batch", title_justify="left")
    others, unit = ["static", "cumulative", "sliding"] if compared else [], unit_of(report["task"])
    for column in ["batch", "status", unit, metric, *others, "drifted", "decision", "gate", "champion", "seconds"]:
        table.add_column(column, justify="left" if column in ("status", "decision", "gate") else "right")
    for record in report["batches"]:
        table.add_row(*_cells(record, metric, compared))
    return Group(table, *(Text(line) for line in summary_lines(report)))


def _cells(record: Mapping[str, Any], metric: str, compared: bool) -> Sequence[str]:
    before, gate, drift = record["score_before"], record["gate"], record["drift"]
    drifted = sum(d["distance"] >= d["threshold"] for d in drift["features"].values()) if drift else 0
    scores = [record.get(key) for key in ("score_static", "score_retrained", "score_sliding")] if compared else []
    return [
        str(record["batch"]),
        record["status"],
        f"{record['rows']:,}",
        figure(before[metric]) if before else _estimated(record),
        *("–" if s is None else figure(s) for s in scores),
        f"{drifted} of {len(drift['features'])}" if drift else "–",
        record["decision"]["action"] if record["decision"] else "–",
        "–" if gate is None else "passed" if gate["passed"] else "refused",
        str(record["champion"] or "–"),
        f"{record['cost']['seconds']:.1f}",
    ]


def _estimated(record: Mapping[str, Any]) -> str:
    found = record.get("score_estimated")
    return "–" if found is None else f"≈{figure(found)}"


def summary_lines(report: Mapping[str, Any]) -> list[str]:
    """Mean scores and costs, a line each."""
    summary, metric = report["summary"], report["metric"]
    names = {
        "score": "the loop",
        "score_static": "static first champion",
        "score_retrained": "cumulative retrain",
        "score_sliding": "sliding retrain",
        "score_no_change": "no-change predictor",
        "score_estimated": "estimated where labels are due",
    }
    lines = [f"mean {metric}: {names[key]} {figure(summary[key])}" for key in names if summary.get(key) is not None]
    cost = f"cost: {summary['cost']['samples']:,} samples"
    if retrained := (summary.get("cost_retrained") or {}).get("samples"):
        cost += f", {summary['cost']['samples'] / retrained:.1%} of the cumulative retrain's {retrained:,}"
    return [*lines, cost, *sight_of(report["batches"])]


def estimate_text(estimate: Mapping[str, float], metric: str) -> str:
    """A score that was estimated, and its range."""
    return f"{metric} {figure(estimate['score'])} estimated ({figure(estimate['low'])} to {figure(estimate['high'])})"


def figure(value: float) -> str:
    """A score with four significant digits."""
    return f"{value:.4g}"
