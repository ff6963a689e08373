"""The report of a run: one record a batch, and the summary over them."""

from collections.abc import Mapping, Sequence
from typing import Any

COMPARED = ("score_static", "score_retrained", "score_sliding", "score_no_change")


def summarise(records: Sequence[Mapping[str, Any]], metric: str) -> dict[str, Any]:
    """Mean scores over the batches that a champion scored before it learned from them, and total costs.

    Every mean is over the same batches, so that the loop and what it is compared with can be set side by side.
    """
    scored = [record for record in records if record["score_before"] is not None]
    summary: dict[str, Any] = {"score": _mean([record["score_before"][metric] for record in scored])}
    for key in COMPARED:
        summary[key] = _mean([record[key] for record in scored if record.get(key) is not None])
    summary["cost"] = _total([record["cost"] for record in records])
    summary["cost_retrained"] = _total([record["cost_retrained"] for record in records if record.get("cost_retrained")])
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
