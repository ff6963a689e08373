"""When to learn: from what was watched to a decision. Pure functions, replayable on history."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from cronsim import CronSim

from monitoring.causes import Triage
from monitoring.config import (
    Action,
    AdwinTrigger,
    DdmTrigger,
    DriftTrigger,
    LearningAction,
    ManualTrigger,
    PageHinkleyTrigger,
    PerformanceTrigger,
    PriceTrigger,
    RowsTrigger,
    ScheduleTrigger,
    ScoreDriftTrigger,
    Trigger,
    TriggerConfig,
    TriggerKind,
)
from monitoring.drift import DriftReport
from monitoring.performance import AnyMetric, gain
from monitoring.score_drift import Scored, losses_rose

CLOCKS = (RowsTrigger, ScheduleTrigger, ManualTrigger)
"""Triggers that ask for learning whatever the readings say."""
_STRENGTH: tuple[LearningAction, ...] = ("patch", "update", "retrain")


@dataclass(frozen=True)
class Decision:
    """What to do with a batch, and why; `fired`: the kinds of trigger that fire, whether or not the policy acts."""

    action: Action
    reason: str
    fired: tuple[TriggerKind, ...] = ()


@dataclass(frozen=True)
class Situation:
    """What a policy may know after a batch was watched.

    score_then: the champion's score on held-out rows when it was promoted; score_now: on the new batch, as its labels
    tell; score_estimated: as its champion's confidence tells.
    rows_since: rows that were labelled since the line last learned, this batch's included.
    batches_since: batches since the last decision to learn, this one included; None before any.
    scores_since: the champion's scores on those of them that have labels.
    scored: what the champion's scored rows left on each batch since its promotion, this one last.
    triage: what happened to the batch; None where nobody asked.
    waiting: the batch whose candidate waits for a second one to bear it out; None where none does.
    """

    champion: int | None
    drift: DriftReport | None
    metric: AnyMetric
    score_then: float | None
    score_now: float | None
    rows_since: int
    batches_since: int | None
    now: datetime
    learned_at: datetime | None
    manual: LearningAction | None
    unknown_classes: tuple[str, ...]
    scores_since: tuple[float, ...] = ()
    scored: tuple[Scored, ...] = ()
    triage: Triage | None = None
    score_estimated: float | None = None
    waiting: int | None = None


def decide(trigger: TriggerConfig, situation: Situation) -> Decision:
    """The decision on a batch: what a person asked for, a first champion, a new class, or what the triggers say."""
    return replace(_decided(trigger, situation), fired=fired_kinds(trigger, situation))


def _decided(trigger: TriggerConfig, situation: Situation) -> Decision:
    if situation.champion is None:
        return Decision("bootstrap", "there is no champion yet")
    if situation.manual is not None:
        return Decision(situation.manual, f"a person asked for {situation.manual}")
    if situation.unknown_classes:
        names = ", ".join(situation.unknown_classes)
        return Decision("retrain", f"the batch holds classes that the champion does not know: {names}")
    waited = situation.batches_since
    if waited is not None and waited <= trigger.cooldown_batches:
        return Decision("none", f"cooling down: {waited} of {trigger.cooldown_batches} batches since the last decision")
    return _by_triggers(trigger, situation)


def fired_kinds(trigger: TriggerConfig, situation: Situation) -> tuple[TriggerKind, ...]:
    """The kinds of trigger that fire, whether or not the policy acts on them."""
    return tuple(t.kind for t in trigger.any or trigger.all or [] if _answer(t, situation)[0])


def _by_triggers(trigger: TriggerConfig, situation: Situation) -> Decision:
    decision = _answered(trigger, situation)
    if decision.action == "none" and situation.waiting is not None and _learns_by_itself(trigger):
        text = f"what was learned from batch {situation.waiting} waits for a second batch that bears it out"
        decision = Decision("update", text)
    if decision.action != "none" and situation.rows_since == 0:
        return Decision("none", f"{decision.reason}; but no row was labelled since it last learned")
    return decision


def _learns_by_itself(trigger: TriggerConfig) -> bool:
    return not all(isinstance(t, ManualTrigger) for t in trigger.any or trigger.all or [])


def _answered(trigger: TriggerConfig, situation: Situation) -> Decision:
    triggers = trigger.any or trigger.all or []
    answers = [_answer(t, situation) for t in triggers]
    fired: list[tuple[LearningAction, str]] = [
        _softened(t, text, situation.triage) for t, (fires, text) in zip(triggers, answers, strict=True) if fires
    ]
    if not fired or (trigger.all is not None and len(fired) < len(triggers)):
        return Decision("none", "; ".join(text for fires, text in answers if not fires))
    return Decision(_strongest([action for action, _ in fired]), "; ".join(text for _, text in fired))


def _softened(trigger: Trigger, text: str, triage: Triage | None) -> tuple[LearningAction, str]:
    """What comes back was learned once: what drift or a lost score asks for is a new blend first."""
    known = triage is not None and triage.cause == "season"
    if not known or isinstance(trigger, CLOCKS) or trigger.action != "update":
        return trigger.action, text
    return "patch", f"{text}; seen before, so a new blend first"


def _strongest(actions: Sequence[LearningAction]) -> LearningAction:
    return max(actions, key=_STRENGTH.index)


def _answer(trigger: Trigger, situation: Situation) -> tuple[bool, str]:
    """Whether a trigger fires, and the sentence that says why or why not."""
    faulty = situation.triage.features if situation.triage is not None and situation.triage.faulty else ()
    if faulty and not isinstance(trigger, CLOCKS):
        return False, f"{trigger.kind} says nothing while {', '.join(faulty)} cannot be trusted"
    match trigger:
        case DriftTrigger():
            return _drift(situation.drift)
        case PerformanceTrigger():
            return _performance(trigger, situation)
        case RowsTrigger():
            counted = f"{situation.rows_since:,} rows since it last learned"
            fires = situation.rows_since >= trigger.count
            return fires, counted if fires else f"{counted}, fewer than {trigger.count:,}"
        case PriceTrigger():
            return _price(trigger, situation)
        case ScheduleTrigger():
            return _schedule(trigger, situation)
        case AdwinTrigger() | PageHinkleyTrigger() | DdmTrigger():
            return _score_drift(trigger, situation)
        case ManualTrigger():
            return False, "nobody asked for it"


def _drift(drift: DriftReport | None) -> tuple[bool, str]:
    if drift is None:
        return False, "drift was not measured"
    return drift.drifted, drift.summary


def _performance(trigger: PerformanceTrigger, situation: Situation) -> tuple[bool, str]:
    known = situation.score_now is not None
    now = situation.score_now if known else situation.score_estimated
    if now is None or situation.score_then is None:
        return False, "the batch has no labels to score"
    drop = -gain(situation.metric, now, situation.score_then)
    estimated = "" if known else " estimated"
    text = f"{situation.metric} {now:.4g}{estimated}, {situation.score_then:.4g} when promoted"
    fires = drop > trigger.drop
    return fires, text if fires else f"{text}: no drop of {trigger.drop:g}"


def _score_drift(trigger: ScoreDriftTrigger, situation: Situation) -> tuple[bool, str]:
    if situation.score_now is None or not situation.scored:
        return False, "the batch has no labels to score"
    fires, batches = losses_rose(trigger, situation.metric, situation.scored), len(situation.scored)
    found = "rose" if fires else "did not rise"
    return fires, f"the losses {found} by {trigger.detector} over {batches} batches since the promotion"


def points_lost(metric: AnyMetric, scores: Sequence[float], score_then: float | None) -> float:
    """How many hundredths the scores fall short of the one before them, all together; for rmse and mae of that one."""
    if score_then is None:
        return 0.0
    return 100 * sum(max(0.0, -gain(metric, score, score_then)) for score in scores)


def due_after(points: float) -> float:
    """After how many batches a training of this price is due, whatever was seen."""
    return 2 * math.sqrt(points)


def _price(trigger: PriceTrigger, situation: Situation) -> tuple[bool, str]:
    lost = points_lost(situation.metric, situation.scores_since, situation.score_then)
    waited, due = situation.batches_since or 0, due_after(trigger.points)
    text = f"{lost:.3g} points of {situation.metric} lost in {waited} batches since it learned"
    if lost >= trigger.points:
        return True, f"{text}, a training is worth {trigger.points:g}"
    if waited >= due:
        return True, f"{text}; a training worth {trigger.points:g} points is due after {due:.3g}"
    return False, f"{text}: a training is worth {trigger.points:g}, or due after {due:.3g} batches"


def _schedule(trigger: ScheduleTrigger, situation: Situation) -> tuple[bool, str]:
    if situation.learned_at is None:
        return True, f"the schedule {trigger.cron!r} has never run"
    due = next(CronSim(trigger.cron, situation.learned_at))
    fires = due <= situation.now
    return fires, f"the schedule {trigger.cron!r} {'was' if fires else 'is'} due at {due:%Y-%m-%d %H:%M}"
