"""What was asked of a pipeline besides its batches: a retrain, a promotion.

A request is journalled like a batch, under the SHA-256 of its run key: a run that died is followed by another with the
same key, which finds what was asked and goes on after the last written step.
"""

import hashlib
from typing import Any

from deployments.champions import lineage_of
from deployments.line import Line
from deployments.outcomes import Batch
from monitoring.policies import Decision

MOST_ATTEMPTS = 5


def open_request(line: Line, run_key: str, name: str) -> Batch:
    """The request's place in the journal.

    It stands at the pipeline's newest batch. Raises ValueError where the pipeline has none yet, and after as many
    attempts as may be made.
    """
    request_id = hashlib.sha256(f"request {run_key}".encode()).hexdigest()
    journal = line.ledger.journal(line.name, request_id)
    if "request" not in journal:
        stored = line.ledger.outcomes(line.name, "store")
        if not stored:
            raise ValueError(f"nothing is stored of the pipeline {line.name} yet: there is nothing to work on")
        journal["request"] = {"batch": max(stored), "name": name}
        line.ledger.record_step(line.name, request_id, "request", journal["request"])
    if "finish" not in journal:
        _count_attempt(line, request_id, journal)
    return Batch(journal["request"]["batch"], request_id, journal["request"]["name"])


def decision_on(line: Line, batch: Batch, asked: Decision) -> Decision:
    """What was asked; none where it is an update and there is no batch that the line has not learned from."""
    lineage = lineage_of(line)
    if lineage is None:
        return Decision("bootstrap", asked.reason)
    if asked.action == "update" and lineage.candidate.trained_through >= batch.number:
        return Decision("none", f"{asked.reason}; but all {batch.number} batches were learned from already")
    return asked


def request_record(line: Line, batch: Batch) -> dict[str, Any]:
    """A finished request's record, from what the steps wrote into the journal."""
    journal = line.ledger.journal(line.name, batch.id)
    judged = [journal[step] for step in journal if step.startswith("judge:")]
    champion = line.ledger.champion(line.name)
    return {
        "request": batch.name,
        "batch": batch.number,
        "decision": journal["decide"],
        "gate": judged[-1]["verdict"] if judged else None,
        "approved": journal.get("approve"),
        "promoted": "promote" in journal,
        "conflict": journal.get("conflict"),
        "revoked": None,
        "champion": champion.version if champion else None,
    }


def _count_attempt(line: Line, request_id: str, journal: dict[str, Any]) -> None:
    """A request that ends its process each time must not be followed up for ever."""
    made = sum(step.startswith("attempt:") for step in journal)
    if made >= MOST_ATTEMPTS:
        raise ValueError(f"given up after {made} attempts, each of which died; see the log of the last")
    line.ledger.record_step(line.name, request_id, f"attempt:{made + 1}", None)
