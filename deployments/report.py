"""The report of a run: one record a batch, and the summary over them."""

from collections.abc import Mapping, Sequence
from typing import Any

from deployments.ladder import Rung
from deployments.outcomes import Batch, Exported, Judged
from monitoring.drift import DriftReport

COMPARED = ("score_static", "score_retrained", "score_sliding", "score_no_change")


RUNGS: tuple[Rung, ...] = ("bootstrap", "patch", "update", "retrain")
"""Those that learn."""


def batch_record(batch: Batch, journal: Mapping[str, Any], champion: int | None) -> dict[str, Any]:
    """A finished batch's record, from what the steps wrote into the journal."""
    labels, watched = journal.get("labels"), journal.get("watch") or {}
    validated = labels or journal["validate"]
    learned = [(rung, journal[f"learn:{rung}"]) for rung in RUNGS if journal.get(f"learn:{rung}")]
    rung = learned[-1][0] if learned else "shadow" if "judge:shadow" in journal else "none"
    judged = journal.get(f"judge:{rung}")
    record: dict[str, Any] = {
        "batch": batch.number,
        "name": batch.name,
        "id": batch.id,
        "status": "accepted" if validated["refusal"] is None else "quarantined",
        "reason": validated["refusal"],
        "warnings": [
            *validated["warnings"],
            *[note for _, made in learned for note in made["notes"]],
            *([journal["conflict"]] if "conflict" in journal else []),
            *_contradictions(journal),
        ],
        "rows": validated["rows"],
        "rows_quarantined": validated["rows_quarantined"],
        "labels": labels and {key: labels[key] for key in ("known", "waiting", "batches")},
        "completed": watched.get("completed") or [],
        "estimate": watched.get("estimate"),
        "score_estimated": _until_labels(watched),
        "drift": watched.get("drift"),
        "drift_page": watched.get("drift_page"),
        "triage": journal.get("triage"),
        "decision": journal.get("decide"),
        "action_taken": rung,
        "score_before": watched.get("score_before"),
        "score_no_change": watched.get("score_no_change"),
        "gate": judged and judged["verdict"],
        "rivalry": watched.get("rivalry"),
        "revoked": journal.get("revoke"),
        "on_estimate": judged and judged.get("on_estimate"),
        "confirmed": journal.get("confirm"),
        "promoted": "promote" in journal and "conflict" not in journal,
        "champion": champion,
        "cost": _total([cost for _, cost in learned]),
    }
    return {**record, **_compared(journal)}


def _until_labels(watched: Mapping[str, Any]) -> float | None:
    """The estimated score of a batch whose labels have not come."""
    estimate = watched.get("estimate")
    return None if estimate is None or watched.get("score_before") is not None else estimate["score"]


def _contradictions(journal: Mapping[str, Any]) -> list[str]:
    count = (journal.get("store") or {}).get("labels_contradicted", 0)
    return [f"{count} labels that waited for this batch were refused: it contradicts them"] if count else []


def duplicate_record(batch: Batch, name: str, champion: int | None) -> dict[str, Any]:
    """The record of a batch that came again: nothing was done with it."""
    nothing = dict.fromkeys(("reason", "drift", "triage", "decision", "score_before", "gate"))
    cost = {"samples": 0, "seconds": 0.0}
    same = {"batch": batch.number, "name": name, "id": batch.id, "status": "duplicate"}
    return {
        **same,
        **nothing,
        "rows": 0,
        "rows_quarantined": 0,
        "action_taken": "none",
        "promoted": False,
        "champion": champion,
        "cost": cost,
    }


def _compared(journal: Mapping[str, Any]) -> dict[str, Any]:
    if "compare" not in journal:
        return {}
    return {**journal["compare"], "cost_retrained": journal["retrain-compared"]}


def verdict_markdown(pipeline: str, batch: Batch, rung: Rung, exported: Exported, judged: Judged) -> str:
    """The gate's verdict as a page for people."""
    head = "passed" if judged.verdict.passed else "was refused"
    failed_first = sorted(judged.verdict.checks, key=lambda check: check.passed)
    checks = [f"- {'✓' if c.passed else '✗'} {c.text.replace(c.name, f'**{c.name}**', 1)}" for c in failed_first]
    title = f"## {pipeline}: version {exported.version} {head}\n\n{rung} on batch {batch.number}, {batch.name}"
    return "\n".join([f"{title}\n", *checks])


def drift_markdown(pipeline: str, batch: Batch, drift: DriftReport) -> str:
    """What was seen of drift, as a page for people."""
    title = f"## {pipeline}: batch {batch.number}, {batch.name}\n\n{drift.summary}\n"
    carriers = [f"| {c.feature} | {c.channel} | {c.share:.0%} |" for c in drift.evidence.carriers]
    note = [f"\nWhat could not be told: {drift.note}"] if drift.note else []
    return "\n".join([title, "| what carries it | channel | share |", "|---|---|---|", *carriers, *note])


def summarise(records: Sequence[Mapping[str, Any]], metric: str) -> dict[str, Any]:
    """Mean scores over the batches that a champion scored before it learned from them, and total costs.

    Every mean is over the same batches, so that the loop and what it is compared with can be set side by side; that of
    the estimates is over the batches whose labels have not come.
    """
    scored = [record for record in records if record["score_before"] is not None]
    summary: dict[str, Any] = {"score": _mean([record["score_before"][metric] for record in scored])}
    for key in COMPARED:
        summary[key] = _mean([record[key] for record in scored if record.get(key) is not None])
    estimated = [record["score_estimated"] for record in records if record.get("score_estimated") is not None]
    summary["score_estimated"] = _mean(estimated)
    summary["cost"] = _total([record["cost"] for record in records])
    retrained = [record["cost_retrained"] for record in records if record.get("cost_retrained")]
    summary["cost_retrained"] = _total(retrained) if retrained else None
    return summary


def build_report(name: str, task: str, metric: str, records: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What `lehr run --report` writes."""
    return {
        "pipeline": name,
        "task": task,
        "metric": metric,
        "batches": list(records),
        "summary": summarise(records, metric),
    }


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None


def _total(costs: Sequence[Mapping[str, float]]) -> dict[str, float]:
    return {key: sum(cost[key] for cost in costs) for key in ("samples", "seconds")}
