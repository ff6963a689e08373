"""What was asked of a pipeline besides its batches: a retrain, a promotion.

A request is journalled like a batch, under the SHA-256 of its run key: a run that died is followed by another with the
same key, which finds what was asked and goes on after the last written step.
"""

import hashlib
from collections.abc import Mapping
from typing import Any

from data.ledger import Ledger
from deployments.attempts import count_attempt
from deployments.champions import learned_through
from deployments.line import AnyLine
from deployments.outcomes import Batch
from monitoring.policies import Decision


def open_request(ledger: Ledger, pipeline: str, run_key: str, asked: dict[str, Any]) -> tuple[Batch, dict[str, Any]]:
    """The request's place in the journal, and what was asked when it came first.

    It stands at the pipeline's newest batch. Raises ValueError where the pipeline has none yet, and where the request
    has ended its process too often.
    """
    request_id = request_id_of(run_key)
    request: dict[str, Any] | None = ledger.journal(pipeline, request_id).get("request")
    if request is None:
        if not ledger.outcomes(pipeline, "store"):
            raise ValueError(f"nothing is stored of the pipeline {pipeline} yet: there is nothing to work on")
        request = {"batch": max(ledger.outcomes(pipeline, "finish")), "asked": asked}
        ledger.record_step(pipeline, request_id, "request", request)
    count_attempt(ledger, pipeline, request_id)
    return Batch(request["batch"], request_id, "a request"), request["asked"]


def next_number(ledger: Ledger, pipeline: str, batch_id: str) -> int:
    """The number that a batch has, or would get if it came now."""
    entries = ledger.batches(pipeline)
    known = next((entry.number for entry in entries if entry.batch_id == batch_id), None)
    return max((entry.number for entry in entries), default=0) + 1 if known is None else known


def request_id_of(run_key: str) -> str:
    """Under which id a request is journalled."""
    return hashlib.sha256(f"request {run_key}".encode()).hexdigest()


def decision_on(line: AnyLine, batch: Batch, asked: Decision) -> Decision:
    """What was asked; none where it is an update and there is no batch that the line has not learned from."""
    through = learned_through(line)
    if through is None:
        return Decision("bootstrap", asked.reason)
    if asked.action == "update" and through >= batch.number:
        return Decision("none", f"{asked.reason}; but all {batch.number} batches were learned from already")
    return asked


def request_text(record: Mapping[str, Any]) -> str:
    """What became of a request, in a sentence."""
    decision, gate = record["decision"], record["gate"]
    if record["promoted"]:
        became = f"version {record['champion']} is in production"
    elif record["conflict"] is not None:
        became = f"not promoted: {record['conflict']}"
    elif gate is None:
        became = "nothing was judged"
    elif not gate["passed"]:
        became = "refused: " + "; ".join(check["text"] for check in gate["checks"] if not check["passed"])
    else:
        became = f"passed the gate, but was not approved: {record['approved']['reason']}"
    return f"{decision['action']}: {decision['reason']} → {became}"


def request_record(line: AnyLine, batch: Batch) -> dict[str, Any]:
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
        "promoted": "promote" in journal and "conflict" not in journal,
        "conflict": journal.get("conflict"),
        "revoked": None,
        "champion": champion.version if champion else None,
    }
