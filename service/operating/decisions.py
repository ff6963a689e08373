"""Routes: what was decided and why, how the champion scored, and what drifts."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from data.entries import Promotion
from deployments.promotion import ROLLED_BACK
from monitoring.performance import LOWER_IS_BETTER
from monitoring.plots import action_of, channels_of, metric_value, plot_drift, plot_scores
from service.core import Core, CoreOf
from service.ingestion.deliveries import READERS, Name
from service.pipelines import config_of, known_pipeline
from service.problems import documented
from service.security.access import needs

router = APIRouter(
    prefix="/api/v1/pipelines",
    tags=["watching"],
    dependencies=[needs(*READERS)],
    responses=documented(404, 409, 422),
)
Limit = Annotated[int, Query(ge=1, le=1000, description="how many of the latest")]
Record = Mapping[str, Any]


class Check(BaseModel):
    """One thing that the gate asks."""

    name: str = Field(examples=["not_worse"])
    passed: bool
    text: str = Field(examples=["0.012 gain in accuracy over the champion; at least 0"])


class Decided(BaseModel):
    """What was done with a batch or a request, and why."""

    at: datetime
    kind: Literal["batch", "labels", "request", "rollback", "adoption"]
    batch: int | None = Field(examples=[12], description="null: none was the cause")
    name: str | None = Field(examples=["2026-01-01.csv"])
    action: str = Field(examples=["update"], description="what was done in the end")
    reason: str = Field(examples=["furnace_1_c drifted"])
    verdict: Literal["passed", "refused"] | None = Field(description="the gate's; null: nothing was judged")
    checks: list[Check]
    promoted: bool
    champion: int | None = Field(examples=[7], description="in production afterwards")
    notes: list[str] = Field(description="what happened besides, such as a version that was taken back")


class Decisions(BaseModel):
    """The latest decisions, the newest first."""

    decisions: list[Decided]


class Distance(BaseModel):
    """How far a sensor was from what the champion learned from; above the threshold it drifts."""

    batch: int = Field(examples=[12])
    distance: float | None = Field(examples=[0.4])
    threshold: float | None = Field(examples=[1.1])


class Channel(BaseModel):
    """A sensor, the target or the predictions, over batches."""

    name: str = Field(examples=["furnace_1_c"])
    drifts: bool = Field(description="in the newest batch that was watched")
    ratio: float | None = Field(examples=[0.36], description="distance over threshold in that batch")
    distances: list[Distance]


class Drift(BaseModel):
    """Drift of every channel over the latest batches; evidence: what the decisions rest on, over all batches since."""

    batch: int | None = Field(examples=[12], description="the newest that was watched")
    drifted: bool = Field(description="what the evidence says")
    channels: list[Channel]


class Score(BaseModel):
    """How the champion of its time did on a batch before anything learned from it."""

    batch: int = Field(examples=[12])
    name: str = Field(examples=["2026-01-01.csv"])
    at: datetime
    score: float | None = Field(examples=[0.91])
    estimated: float | None = Field(description="until the labels come")
    champion: int | None = Field(examples=[7], description="in production once the batch was done")
    promoted: bool
    status: Literal["accepted", "quarantined"]


class Scores(BaseModel):
    """Scores over batches, the oldest first."""

    metric: str = Field(examples=["accuracy"])
    better: Literal["higher", "lower"]
    scores: list[Score]


class Plots(BaseModel):
    """The same as figures for plotly: data and layout."""

    scores: dict[str, Any] | None = Field(description="null: no champion has scored a batch yet")
    drift: dict[str, Any] | None = Field(description="null: nothing was watched yet")


@router.get("/{name}/decisions")
def decisions(name: Name, core: CoreOf, limit: Limit = 20) -> Decisions:
    """The last decisions with their reasons: about batches, late labels and requests, and rollbacks."""
    known_pipeline(core, name)
    finished = [_decided(r.result, r.at) for r in core.ledger.latest_results(name, "finish", limit)]
    by_hand = [_by_hand(promotion) for promotion in core.ledger.history(name) if promotion.verdict is None]
    newest_first = sorted([*finished, *by_hand], key=lambda decided: decided.at, reverse=True)
    return Decisions(decisions=newest_first[:limit])


@router.get("/{name}/scores")
def scores(name: Name, core: CoreOf, limit: Limit = 100) -> Scores:
    """The champion's score on each batch before anything learned from it."""
    metric = config_of(core, name).metric
    found = [
        Score(
            batch=record["batch"],
            name=record["name"],
            at=at,
            score=metric_value(record["score_before"], metric),
            estimated=metric_value(record.get("score_estimated"), metric),
            champion=record["champion"],
            promoted=record["promoted"],
            status=record["status"],
        )
        for record, at in _records(core, name, limit)
    ]
    return Scores(metric=metric, better="lower" if metric in LOWER_IS_BETTER else "higher", scores=found)


@router.get("/{name}/drift")
def drift(name: Name, core: CoreOf, limit: Limit = 30) -> Drift:
    """The distance of each sensor to what the champion learned from, over the latest batches."""
    known_pipeline(core, name)
    watched = [record for record, _ in _records(core, name, limit) if record["drift"]]
    newest = watched[-1] if watched else None
    names = list(dict.fromkeys(channel for record in watched for channel in channels_of(record)))
    return Drift(
        batch=None if newest is None else newest["batch"],
        drifted=newest is not None and newest["drift"]["drifted"],
        channels=[_channel(channel, watched) for channel in names],
    )


@router.get("/{name}/plots")
def plots(name: Name, core: CoreOf, limit: Limit = 50) -> Plots:
    """Scores and drift over the latest batches as the report's page draws them."""
    metric = config_of(core, name).metric
    records = [record for record, _ in _records(core, name, limit)]
    shown = {
        key: ""
        for key in ("score_before", "score_estimated")
        if any(metric_value(record.get(key), metric) is not None for record in records)
    }
    return Plots(
        scores=plot_scores(records, metric, shown) if shown else None,
        drift=plot_drift(records) if records else None,
    )


def checks_of(verdict: Mapping[str, Any] | None) -> list[Check]:
    """A verdict's checks, in words."""
    checks = verdict["checks"] if verdict else []
    return [
        Check(name=check["name"], passed=check["passed"], text=check.get("text", "").removeprefix(f"{check['name']}: "))
        for check in checks
    ]


def _records(core: Core, name: str, limit: int) -> list[tuple[Record, datetime]]:
    """The records of the latest batches and when each was done, in order of arrival; requests are left out."""
    latest = core.ledger.latest_results(name, "finish", limit)
    batches = [(found.result, found.at) for found in latest if "request" not in found.result]
    return sorted(batches, key=lambda found: found[0]["batch"])


def _decided(record: Record, at: datetime) -> Decided:
    decision, gate, asked = record.get("decision"), record.get("gate"), "request" in record
    quarantined = record.get("status") == "quarantined"
    action = decision["action"] if asked and decision else action_of(record)
    reason = record["reason"] if quarantined else decision["reason"] if decision else "nothing was to be decided"
    return Decided(
        at=at,
        kind="request" if asked else "labels" if record.get("labels") else "batch",
        batch=record["batch"],
        name=None if asked else record["name"],
        action=action,
        reason=reason or "refused whole",
        verdict=None if gate is None else "passed" if gate["passed"] else "refused",
        checks=checks_of(gate),
        promoted=record["promoted"],
        champion=record["champion"],
        notes=list(_notes(record)),
    )


def _notes(record: Record) -> Sequence[str]:
    revoked, triage, approved = record.get("revoked"), record.get("triage"), record.get("approved")
    found = [record["conflict"]] if record.get("conflict") else []
    if approved is not None:
        found.append(f"{'approved' if approved['approve'] else 'refused by a person'}: {approved['reason']}")
    if revoked:
        found.append(f"version {revoked['version']} was taken back: {revoked['reason']}")
    if triage and triage["cause"] != "none":
        found.append(triage["reason"])
    return found


def _by_hand(promotion: Promotion) -> Decided:
    """A promotion without a verdict: a person, or the rival's evidence, put an earlier version back."""
    back = promotion.reason.startswith(ROLLED_BACK)
    return Decided(
        at=promotion.at,
        kind="rollback" if back else "adoption",
        batch=None,
        name=None,
        action="rolled back" if back else "adopted",
        reason=promotion.reason.removeprefix(ROLLED_BACK),
        verdict=None,
        checks=[],
        promoted=True,
        champion=promotion.version,
        notes=[],
    )


def _channel(name: str, watched: Sequence[Record]) -> Channel:
    seen = [(record["batch"], channels_of(record).get(name) or {}) for record in watched]
    distances = [Distance(batch=b, distance=c.get("distance"), threshold=c.get("threshold")) for b, c in seen]
    far, allowed = distances[-1].distance, distances[-1].threshold
    ratio = far / allowed if far is not None and allowed else None
    return Channel(name=name, drifts=ratio is not None and ratio >= 1, ratio=ratio, distances=distances)
