"""What the loop tells others about a batch: events by name, for automations, alerts and message brokers."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from monitoring.config import TriggerKind

ACCEPTED = "lehr.batch.accepted"
QUARANTINED = "lehr.batch.quarantined"
DRIFT = "lehr.drift.detected"
DROPPED = "lehr.performance.dropped"
REFUSED = "lehr.gate.refused"
PROMOTED = "lehr.version.promoted"
ROLLED_BACK = "lehr.version.rolled-back"

LEARNING = "lehr.learning"
"""The label that says whether learning from the batch is left to a retrain: `due`, on one event of a batch at most."""


@dataclass(frozen=True)
class Announcement:
    """One event about a pipeline; labels can be matched by automations, the payload is for parameters and people."""

    event: str
    payload: dict[str, Any]
    labels: dict[str, str]


def announcements(record: Mapping[str, Any], fired: Collection[TriggerKind], due: bool) -> list[Announcement]:
    """The events of a finished batch, from its record.

    fired: the kinds of trigger that fire on it. due: whether the loop has left learning from it to a retrain.
    """
    if record["status"] == "duplicate":
        return []
    batch = {"batch": record["batch"], "name": record["name"], "batches": [record["id"]], "run_key": record["id"]}
    reason = record["decision"]["reason"] if record["decision"] else record["reason"]
    told = {**batch, "score": record.get("score_before"), "rows": record["rows"], "reason": reason}
    if record["status"] == "quarantined":
        return [Announcement(QUARANTINED, told, {})]
    found: list[tuple[str, dict[str, Any]]] = []
    if record["drift"] and record["drift"]["drifted"]:
        evidence = record["drift"]["evidence"]
        carriers = list(dict.fromkeys(carrier["feature"] for carrier in evidence["carriers"]))
        found.append((DRIFT, {**told, "score": evidence["log_e_value"], "features": carriers}))
    if "performance" in fired or "score_drift" in fired:
        found.append((DROPPED, told))
    found.append((ACCEPTED, told))
    labelled = [Announcement(event, what, _learning(due and event == found[0][0])) for event, what in found]
    return labelled + changes(record)


def changes(record: Mapping[str, Any]) -> list[Announcement]:
    """What happened to versions in a finished batch or request."""
    found: list[Announcement] = []
    if record["revoked"]:
        revoked = record["revoked"]
        versions = {"version": revoked["version"], "was": revoked["champion"]}
        found.append(Announcement(ROLLED_BACK, {**versions, "reason": revoked["reason"]}, {}))
    if record["gate"] and not record["gate"]["passed"]:
        failed = [check["text"] for check in record["gate"]["checks"] if not check["passed"]]
        found.append(Announcement(REFUSED, {"batch": record["batch"], "reason": "; ".join(failed)}, {}))
    if record["promoted"]:
        why = {"version": record["champion"], "reason": record["decision"]["reason"]}
        found.append(Announcement(PROMOTED, why, {}))
    return found


def _learning(due: bool) -> dict[str, str]:
    return {LEARNING: "due" if due else "done"}
