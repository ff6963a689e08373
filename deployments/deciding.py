"""What a trigger policy may know about a batch, gathered from the ledger."""

from datetime import UTC, datetime
from itertools import takewhile

from deployments.champions import learned_through
from deployments.corroboration import CORROBORATION
from deployments.line import AnyLine
from deployments.outcomes import WATCHED, Batch, Watched
from deployments.setting_aside import faulty_batches
from monitoring.causes import Triage
from monitoring.config import LearningAction
from monitoring.performance import AnyMetric
from monitoring.policies import Situation
from monitoring.score_drift import Scored


def situation_of(
    line: AnyLine, batch: Batch, watched: Watched, triaged: Triage | None, manual: LearningAction | None
) -> Situation:
    """The situation after the batch was watched and its cause named."""
    through = learned_through(line) or 0
    decisions = line.ledger.outcomes(line.name, "decide", since=through)  # the last it learned from, and all after it
    learned = [number for number, decision in decisions.items() if decision["action"] != "none"]
    arrivals = {entry.number: entry.arrived_at for entry in line.ledger.batches(line.name)}
    metric = line.config.metric
    since = line.ledger.outcomes(line.name, "watch", since=max(learned, default=0) + 1)
    faulty = faulty_batches(line.ledger, line.name)
    scores = [w["score_before"] for number, w in since.items() if number not in faulty]
    return Situation(
        champion=watched.champion,
        drift=watched.drift,
        metric=metric,
        score_then=_score_when_promoted(line, watched.champion),
        score_now=_at(watched.score_now or watched.score_before, metric),
        score_estimated=watched.estimate.score if watched.estimate else None,
        rows_since=_rows_labelled(line, since=through + 1),
        batches_since=batch.number - max(learned) if learned else None,
        now=datetime.now(UTC),
        learned_at=arrivals[max(learned)] if learned else None,
        manual=manual,
        unknown_classes=watched.unknown_classes,
        scored=_scored_since_promoted(line, batch, watched),
        scores_since=tuple(score[metric] for score in scores if score),
        triage=triaged,
        waiting=_waiting(line, max(learned)) if learned else None,
    )


def _waiting(line: AnyLine, number: int) -> int | None:
    """The batch, if only one batch bore its last candidate out, whatever else was wrong with it."""
    rungs = (f"judge:{rung}" for rung in ("retrain", "update", "patch"))
    judged = next((found for step in rungs if (found := line.ledger.outcomes(line.name, step, since=number))), {})
    failed = [check["name"] for found in judged.values() for check in found["verdict"]["checks"] if not check["passed"]]
    return number if CORROBORATION in failed else None


def _scored_since_promoted(line: AnyLine, batch: Batch, watched: Watched) -> tuple[Scored, ...]:
    """What each sound batch left that the same champion scored, without another in between, up to this one."""
    faulty = faulty_batches(line.ledger, line.name)
    outcomes = line.ledger.latest_outcomes(line.name, "watch", before=batch.number)
    latest_first = (WATCHED.validate_python(outcome) for number, outcome in outcomes if number not in faulty)
    same = takewhile(lambda before: before.champion == watched.champion, latest_first)
    found = [*reversed([before.scored for before in same]), watched.scored]
    return tuple(scored for scored in found if scored is not None)


def _at(scores: dict[str, float] | None, metric: AnyMetric) -> float | None:
    return scores[metric] if scores else None


def _rows_labelled(line: AnyLine, since: int) -> int:
    """How many rows came with a label, or got one later, from a number on."""
    stored, late = (line.ledger.outcomes(line.name, step, since=since).values() for step in ("store", "labels"))
    came = [outcome.get("rows_labelled", outcome["rows_train"] + outcome["rows_holdout"]) for outcome in stored]
    return sum(came) + sum(outcome["rows"] for outcome in late)


def _score_when_promoted(line: AnyLine, version: int | None) -> float | None:
    promotions = [p for p in line.ledger.history(line.name) if p.version == version and p.verdict is not None]
    return promotions[-1].verdict["score"] if promotions else None
