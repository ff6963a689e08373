from typing import Any

import pytest
from rich.console import Console

from monitoring.terminal import batch_line, report_table

ACCEPTED: dict[str, Any] = {
    "batch": 3,
    "name": "march.csv",
    "id": "ab" * 32,
    "status": "accepted",
    "reason": None,
    "rows": 1200,
    "rows_quarantined": 4,
    "drift": {"drifted": True, "features": {"s1": {"distance": 0.4, "threshold": 0.1}}},
    "decision": {"action": "update", "reason": "s1 drifted"},
    "score_before": {"accuracy": 0.81234},
    "gate": {"passed": True, "checks": [{"name": "threshold", "value": 0.9, "limit": 0.6, "passed": True}]},
    "promoted": True,
    "champion": 2,
    "cost": {"samples": 12800, "seconds": 1.25},
}
REFUSED = {
    **ACCEPTED,
    "promoted": False,
    "gate": {"passed": False, "checks": [{"name": "forgetting", "value": 0.2, "limit": 0.02, "passed": False}]},
}
EMPTY = {"drift": None, "decision": None, "score_before": None, "gate": None, "promoted": False, "rows": 0}
ESTIMATE = {"score": 0.81, "low": 0.76, "high": 0.86, "expected": 0.8, "rows": 1200}
UNLABELLED = {**ACCEPTED, "score_before": None, "estimate": ESTIMATE, "score_estimated": 0.81, "on_estimate": {}}
LATE = {
    **ACCEPTED,
    "rows": 180,
    "labels": {"known": 2, "waiting": 5, "batches": [3, 4]},
    "completed": [{"batch": 3, "champion": 2, "rows": 180, "score": 0.79, "estimated": 0.81}],
    "confirmed": {"version": 2, "sequence": 2, "passed": True, "reason": "all checks passed"},
}
QUARANTINED = {**ACCEPTED, **EMPTY, "status": "quarantined", "reason": "the column s1 is missing"}
DUPLICATE = {**ACCEPTED, **EMPTY, "status": "duplicate"}


@pytest.mark.parametrize(
    ("record", "said"),
    [
        (ACCEPTED, "1,200 rows (+4 quarantined)  accuracy 0.8123  update: s1 drifted  → version 2 promoted"),
        (REFUSED, "→ refused (forgetting)"),
        (UNLABELLED, "accuracy 0.81 estimated (0.76 to 0.86)"),
        (LATE, "labels for 180 rows of batches 3, 4, 2 known already, 5 wait for their rows (+4 quarantined)"),
        (LATE, "(batch 3: 0.79, 0.81 estimated)  version 2 confirmed: all checks passed"),
        (QUARANTINED, "the column s1 is missing"),
        (DUPLICATE, "seen before, nothing changed"),
    ],
)
def test_a_batch_is_one_line(record: dict[str, Any], said: str) -> None:
    assert said in batch_line(record, "accuracy").plain


def test_the_table_holds_every_batch_and_the_summary() -> None:
    summary = {
        "score": 0.8,
        "cost": {"samples": 10, "seconds": 1.0},
        "cost_retrained": {"samples": 100, "seconds": 2.0},
    }
    batches = [ACCEPTED, QUARANTINED, DUPLICATE]
    report = {
        "pipeline": "line",
        "task": "classification",
        "metric": "accuracy",
        "batches": batches,
        "summary": summary,
    }
    console = Console(width=160, record=True, file=None, quiet=False, force_terminal=False)
    with console.capture() as captured:
        console.print(report_table(report))
    text = captured.get()
    assert text.count("│ update") == 1
    assert "mean accuracy: the loop 0.8" in text
    assert "10.0% of the cumulative retrain's 100" in text
