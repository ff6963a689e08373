from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from monitoring.causes import Triage
from monitoring.config import TriggerConfig
from monitoring.drift import Distance, DriftReport
from monitoring.evidence import Carrier, DriftEvidence
from monitoring.policies import Decision, Situation, decide
from monitoring.score_drift import Scored

NOW = datetime(2026, 1, 2, 12, tzinfo=UTC)
QUIET = DriftEvidence(False, 1.0, 8.9, (), {}, {}, ())
LOUD = DriftEvidence(True, 12.0, 8.9, (Carrier("s1", "level", 1.0),), {}, {}, ())
CALM = DriftReport(False, {"s1": Distance(0.1, 0.4)}, None, None, "", QUIET)
MOVED = DriftReport(True, {"s1": Distance(0.8, 0.4), "s2": Distance(0.1, 0.4)}, None, None, "", LOUD)


def situation(**changes: Any) -> Situation:
    usual: dict[str, Any] = {
        "champion": 3,
        "drift": CALM,
        "metric": "accuracy",
        "score_then": 0.9,
        "score_now": 0.89,
        "rows_since": 100,
        "batches_since": 5,
        "now": NOW,
        "learned_at": NOW - timedelta(hours=5),
        "manual": None,
        "unknown_classes": (),
    }
    return Situation(**{**usual, **changes})


def trigger(*triggers: dict[str, Any], joined: str = "any", **more: Any) -> TriggerConfig:
    return TriggerConfig.model_validate({joined: list(triggers), **more})


PRICE = {"kind": "price", "points": 2.5}
FAULTY = {"triage": Triage("sensor_fault", ("s1",), "s1 is stuck")}
KNOWN = {"triage": Triage("season", ("s1",), "back again")}
DRIFT, DROP, ROWS = {"kind": "drift"}, {"kind": "performance", "drop": 0.05}, {"kind": "rows", "count": 1000}


@pytest.mark.parametrize(
    ("config", "changes", "action", "reason"),
    [
        (trigger(DRIFT), {"champion": None}, "bootstrap", "there is no champion yet"),
        (trigger(DRIFT), {}, "none", "no drift: evidence e^1.0, limit e^8.9"),
        (trigger(DRIFT), {"drift": MOVED}, "update", "s1 drifted, first by its level: evidence e^12.0"),
        (trigger(ROWS), {"waiting": 7}, "update", "what was learned from batch 7 waits for a second batch"),
        (trigger(ROWS), {"waiting": 7, "rows_since": 0}, "none", "but no row was labelled"),
        (trigger(ROWS, cooldown_batches=5), {"waiting": 7}, "none", "cooling down"),
        (trigger({"kind": "manual"}), {"waiting": 7}, "none", "nobody asked"),
        (trigger(DRIFT), {"drift": None}, "none", "drift was not measured"),
        (trigger(DROP), {"score_now": 0.8}, "update", "accuracy 0.8, 0.9 when promoted"),
        (trigger(DROP), {"score_now": None}, "none", "no labels to score"),
        (trigger(DROP), {"score_now": None, "score_estimated": 0.8}, "update", "accuracy 0.8 estimated, 0.9 when"),
        (trigger(DROP), {"score_now": 0.88, "score_estimated": 0.8}, "none", "accuracy 0.88, 0.9 when promoted"),
        (trigger(DRIFT), {"drift": MOVED, "rows_since": 0}, "none", "but no row was labelled since it last learned"),
        (trigger(DROP), {"metric": "rmse", "score_then": 10.0, "score_now": 10.4}, "none", "no drop of 0.05"),
        (trigger(DROP), {"metric": "rmse", "score_then": 10.0, "score_now": 10.6}, "update", "rmse 10.6, 10 when"),
        (trigger(ROWS), {"rows_since": 1000}, "update", "1,000 rows since it last learned"),
        (trigger(ROWS), {"rows_since": 999}, "none", "999 rows since it last learned, fewer than 1,000"),
        (trigger({**ROWS, "action": "retrain"}, DRIFT), {"rows_since": 1000, "drift": MOVED}, "retrain", "1,000 rows"),
        (trigger(DRIFT, ROWS, joined="all"), {"drift": MOVED}, "none", "fewer than 1,000"),
        (trigger(DRIFT, ROWS, joined="all"), {"drift": MOVED, "rows_since": 2000}, "update", "drifted"),
        (
            trigger(PRICE),
            {"scores_since": (0.895, 0.892), "batches_since": 3},
            "none",
            "1.3 points of accuracy lost in 3 batches since it",
        ),
        (trigger(PRICE), {"scores_since": (0.89, 0.95, 0.88)}, "update", "3 points of accuracy lost"),
        (trigger(PRICE), {"scores_since": (0.9,), "batches_since": 6}, "update", "worth 2.5 points is due after 3.16"),
        (
            trigger(PRICE),
            {"scores_since": (0.1,), "score_then": None, "batches_since": 3},
            "none",
            "0 points of accuracy lost",
        ),
        (trigger(PRICE), {"metric": "rmse", "score_then": 10.0, "scores_since": (10.3,)}, "update", "3 points of rmse"),
        (trigger({"kind": "schedule", "cron": "0 9 * * *"}), {}, "update", "was due at 2026-01-02 09:00"),
        (trigger({"kind": "schedule", "cron": "0 13 * * *"}), {}, "none", "is due at 2026-01-02 13:00"),
        (trigger({"kind": "manual"}), {}, "none", "nobody asked"),
        (trigger({"kind": "manual"}), {"manual": "patch"}, "patch", "a person asked for patch"),
        (trigger(DRIFT), {"unknown_classes": ("chip",)}, "retrain", "does not know: chip"),
        (
            trigger(DRIFT, DROP),
            {"drift": MOVED, "score_now": 0.5, **FAULTY},
            "none",
            "drift says nothing while s1 cannot",
        ),
        (trigger(DRIFT, ROWS), {"drift": MOVED, "rows_since": 1000, **FAULTY}, "update", "1,000 rows since"),
        (trigger(DRIFT), {"drift": MOVED, **KNOWN}, "patch", "seen before, so a new blend first"),
        (trigger({**DRIFT, "action": "retrain"}), {"drift": MOVED, **KNOWN}, "retrain", "drifted"),
        (trigger(ROWS), {"rows_since": 1000, **KNOWN}, "update", "1,000 rows since"),
        (trigger(DRIFT), KNOWN, "none", "no drift"),
        (trigger(DRIFT), {"manual": "update", **FAULTY}, "update", "a person asked"),
        (trigger(DRIFT, cooldown_batches=5), {"drift": MOVED}, "none", "cooling down: 5 of 5 batches"),
        (trigger(DRIFT, cooldown_batches=4), {"drift": MOVED}, "update", "drifted"),
    ],
)
def test_decisions(config: TriggerConfig, changes: dict[str, Any], action: str, reason: str) -> None:
    decision = decide(config, situation(**changes))
    assert decision.action == action
    assert reason in decision.reason


@pytest.mark.parametrize("detector", ["adwin", "page_hinkley", "ddm"])
def test_losses_that_rose_since_the_promotion_are_a_reason_to_learn(detector: str) -> None:
    config = trigger({"kind": "score_drift", "detector": detector, "action": "retrain"})
    calm, worse = Scored((0.1,) * 200, ("0" * 9 + "1") * 100), Scored((0.8,) * 200, "11110" * 200)
    assert decide(config, situation(scored=(calm,) * 5)).action == "none"
    decision = decide(config, situation(scored=(calm,) * 5 + (worse,)))
    reason = f"the losses rose by {detector} over 6 batches since the promotion"
    assert decision == Decision("retrain", reason, fired=("score_drift",))
    unlabelled = decide(config, situation(scored=(calm,), score_now=None))
    assert unlabelled == Decision("none", "the batch has no labels to score")


def test_the_same_situation_gives_the_same_decision() -> None:
    assert decide(trigger(DRIFT), situation()) == Decision("none", "no drift: evidence e^1.0, limit e^8.9")


def test_a_schedule_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="is no cron expression such as"):
        trigger({"kind": "schedule", "cron": "every day"})
