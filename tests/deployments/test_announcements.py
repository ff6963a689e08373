from typing import Any

from deployments.announcements import ACCEPTED, DRIFT, DROPPED, LEARNING, PROMOTED, QUARANTINED, announcements

EVIDENCE = {"log_e_value": 9.5, "carriers": [{"feature": "s1"}, {"feature": "s2"}, {"feature": "s1"}]}


def record(**more: Any) -> dict[str, Any]:
    plain = {"batch": 3, "name": "c.csv", "id": "ab", "status": "accepted", "reason": None, "rows": 10}
    nothing = {"drift": None, "gate": None, "revoked": None, "promoted": False, "score_before": None, "champion": 1}
    return {**plain, **nothing, "decision": {"action": "none", "reason": "why"}, **more}


def told(*args: Any, **kwargs: Any) -> list[tuple[str, str | None]]:
    return [(a.event, a.labels.get(LEARNING)) for a in announcements(*args, **kwargs)]


def test_learning_is_due_on_one_event_of_a_batch_at_most() -> None:
    drifted = record(drift={"drifted": True, "evidence": EVIDENCE})
    all_fired = ("drift", "performance", "rows")
    assert told(drifted, all_fired, due=True) == [(DRIFT, "due"), (DROPPED, "done"), (ACCEPTED, "done")]
    assert told(record(), all_fired, due=True) == [(DROPPED, "due"), (ACCEPTED, "done")]
    assert told(record(), ("rows",), due=True) == [(ACCEPTED, "due")]
    assert told(drifted, all_fired, due=False) == [(DRIFT, "done"), (DROPPED, "done"), (ACCEPTED, "done")]


def test_a_cause_without_an_event_of_its_own_is_due_on_the_batch() -> None:
    assert told(record(), ("price",), due=True) == [(ACCEPTED, "due")]
    assert told(record(), ("schedule",), due=True) == [(ACCEPTED, "due")]


def test_drift_is_told_with_its_features_and_the_key_of_the_request() -> None:
    payload = announcements(record(drift={"drifted": True, "evidence": EVIDENCE}), (), due=False)[0].payload
    assert (payload["features"], payload["score"], payload["run_key"]) == (["s1", "s2"], 9.5, "ab")


def test_a_refused_batch_and_one_that_came_before() -> None:
    assert told(record(status="quarantined", decision=None, reason="no table"), (), due=False) == [(QUARANTINED, None)]
    assert announcements(record(status="duplicate"), (), due=False) == []


def test_a_promotion_is_told() -> None:
    assert told(record(promoted=True), (), due=False) == [(ACCEPTED, "done"), (PROMOTED, None)]
