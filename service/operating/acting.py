"""Routes: what a person asks of the loop, and what the loop asks of a person."""

from datetime import datetime, timedelta
from functools import partial
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Request
from fastapi import Path as InPath
from pydantic import BaseModel, ConfigDict, Field

from deployments.promotion import rollback_of
from deployments.requests import request_id_of
from learning.config import Strategy
from monitoring.config import LearningAction
from service.core import Core, CoreOf, now
from service.ingestion.deliveries import READERS, Name
from service.operating.decisions import Check, checks_of
from service.operating.loop import Run
from service.pipelines import known_pipeline
from service.problems import Problem, documented
from service.security.access import needs
from service.security.idempotency import IdempotencyKey, key_of, once

SHOWN = ("learn-continuously", "retrain", "train-model", "promote-model", "roll-back")
"""The flows whose runs are told; watching goes on every few minutes and changes nothing by itself."""
AT_WORK = ("scheduled", "pending", "running", "cancelling", "paused")
MOST_RUNS = 20
RUN = "5f1c9b1e-8f57-4a59-9d62-6b2f1c3d4e5f"

router = APIRouter(prefix="/api/v1/pipelines", tags=["acting"])
RunId = Annotated[UUID, InPath(examples=[RUN])]
Reason = Annotated[
    str,
    Field(
        min_length=1,
        max_length=500,
        pattern=r"^[^\x00-\x08\x0b-\x1f\x7f]*\S[^\x00-\x08\x0b-\x1f\x7f]*$",
        description="why; it is kept in the history",
    ),
]


class _Asked(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Retrain(_Asked):
    """What Prefect's form of a retrain asks for."""

    reason: Reason = Field(default="a person asked for it", examples=["new mould on line 3"])
    action: LearningAction = Field(
        default="update", description="patch: blend anew; update: from what is new; retrain: from everything stored"
    )
    strategy: Strategy | None = Field(default=None, description="null: as the pipeline file says")
    epochs: int | None = Field(default=None, ge=1, le=10_000, description="of a full retrain; null: as the file says")
    require_approval: bool = Field(default=False, description="ask a person once the gate is content")
    approval_minutes: float = Field(default=60, gt=0, le=10_080, description="without an answer: refused")


class RollBack(_Asked):
    """Which version goes back into production, and why."""

    reason: Reason = Field(examples=["line 3 complains"])
    version: int | None = Field(
        default=None, ge=1, le=2**53, examples=[6], description="null: the one that the champion replaced"
    )


class Answer(_Asked):
    """A person's answer to a candidate that passed the gate."""

    approve: bool = Field(description="put this version into production", examples=[True])
    reason: Reason = Field(examples=["it looks fine"])


class LoopRun(BaseModel):
    """A run of the loop, as Prefect knows it."""

    pipeline: str = Field(examples=["glass-line"])
    run_id: str = Field(examples=[RUN])
    flow: str = Field(examples=["retrain"])
    state: str = Field(examples=["Running"])
    at_work: bool = Field(description="whether it has not ended")
    reason: str | None = Field(examples=["new mould on line 3"], description="why it was asked for")
    message: str | None = Field(default=None, description="of its state, where there is one")
    started: datetime | None = None
    ended: datetime | None = None
    progress: float | None = Field(default=None, examples=[40.0], description="of its training, in per cent")


class LoopRuns(BaseModel):
    """The latest runs, the newest first."""

    runs: list[LoopRun]


class Approval(BaseModel):
    """A candidate that passed the gate and waits for a person."""

    run_id: str = Field(examples=[RUN])
    flow: Literal["retrain", "promote-model"] | str = Field(examples=["retrain"])
    asked: str = Field(examples=["new mould on line 3"], description="why the run was asked for")
    batch: int | None = Field(examples=[12], description="the newest when it was asked for")
    version: int | None = Field(examples=[8], description="that would go into production")
    champion: int | None = Field(examples=[7], description="that it would replace")
    score: float | None = Field(examples=[0.91], description="on the newest rows that no training has seen")
    checks: list[Check] = Field(description="the gate's verdict")
    until: datetime | None = Field(description="without an answer by then it is refused")


class Approvals(BaseModel):
    """All that waits, the longest waiting first."""

    approvals: list[Approval]


class Answered(BaseModel):
    """An answer was taken; the run goes on."""

    pipeline: str = Field(examples=["glass-line"])
    run_id: str = Field(examples=[RUN])
    approve: bool
    reason: str = Field(examples=["it looks fine"])


@router.post(
    "/{name}/retrain", status_code=202, dependencies=[needs("promote")], responses=documented(404, 409, 422, 503)
)
def retrain(
    name: Name, asked: Retrain, request: Request, core: CoreOf, idempotency_key: IdempotencyKey = None
) -> LoopRun:
    """Learn from what is stored; the candidate goes into production if the gate lets it through."""
    known_pipeline(core, name)
    if not core.ledger.latest_results(name, "store", 1):
        raise Problem(409, f"nothing is stored of the pipeline {name} yet: there is nothing to learn from")
    return _begin(core, request, "retrain", name, asked, idempotency_key)


@router.post(
    "/{name}/roll-back", status_code=202, dependencies=[needs("promote")], responses=documented(404, 409, 422, 503)
)
def roll_back(
    name: Name, asked: RollBack, request: Request, core: CoreOf, idempotency_key: IdempotencyKey = None
) -> LoopRun:
    """Put an earlier version back into production."""
    known_pipeline(core, name)
    try:
        rollback_of(core.ledger, name, asked.version)
    except ValueError as error:
        raise Problem(409, str(error)) from None
    return _begin(core, request, "roll-back", name, asked, idempotency_key)


@router.get("/{name}/runs", dependencies=[needs(*READERS)], responses=documented(404, 409, 422, 503))
def runs(name: Name, core: CoreOf) -> LoopRuns:
    """The loop's latest runs, with how far they are."""
    known_pipeline(core, name)
    found = core.loop.runs(name, SHOWN, now() + timedelta(seconds=1), MOST_RUNS)
    done = core.loop.progress([run for run in found if run.kind == "running"])
    return LoopRuns(runs=[_told(name, run, done.get(run.id)) for run in found])


@router.get("/{name}/approvals", dependencies=[needs("promote")], responses=documented(404, 409, 422, 503))
def approvals(name: Name, core: CoreOf) -> Approvals:
    """What waits for a person, with the gate's verdict."""
    known_pipeline(core, name)
    return Approvals(approvals=[_approval(core, name, run) for run in core.loop.paused(name)])


@router.post("/{name}/approvals/{run_id}", dependencies=[needs("promote")], responses=documented(404, 409, 422, 503))
def answer(
    name: Name, run_id: RunId, given: Answer, request: Request, core: CoreOf, idempotency_key: IdempotencyKey = None
) -> Answered:
    """Put a candidate that waits into production, or refuse it."""
    known_pipeline(core, name)

    def say() -> Answered:
        if str(run_id) not in {run.id for run in core.loop.paused(name)}:
            raise Problem(
                404, f"no run {run_id} of {name} waits for an answer; it may have been given, or come too late"
            )
        core.loop.answer(str(run_id), given.model_dump())
        return Answered(pipeline=name, run_id=str(run_id), approve=given.approve, reason=given.reason)

    return once(core.settings.home, request, idempotency_key, given.model_dump_json(), say, Answered)


def _begin(core: Core, request: Request, flow: str, name: str, asked: _Asked, key: str | None) -> LoopRun:
    parameters, own = asked.model_dump(exclude_none=True), key and key_of(request, key)
    do = partial(core.loop.begin, flow, name, parameters, own)
    return once(core.settings.home, request, key, asked.model_dump_json(), lambda: _told(name, do(), None), LoopRun)


def _told(name: str, run: Run, progress: float | None) -> LoopRun:
    return LoopRun(
        pipeline=name,
        run_id=run.id,
        flow=run.flow,
        state=run.state,
        at_work=run.kind in AT_WORK,
        reason=run.parameters.get("reason"),
        message=run.message,
        started=run.started,
        ended=run.ended,
        progress=progress,
    )


def _approval(core: Core, name: str, run: Run) -> Approval:
    """What the run's request says in the journal; the candidate it waits with is the last one that was judged."""
    journal = core.ledger.journal(name, request_id_of(run.run_key))
    rung = next((step.partition(":")[2] for step in reversed(journal) if step.startswith("judge:")), None)
    judged: dict[str, Any] = journal.get(f"judge:{rung}") or {}
    request: dict[str, Any] = journal.get("request") or {}
    return Approval(
        run_id=run.id,
        flow=run.flow,
        asked=(request.get("asked") or run.parameters).get("reason", ""),
        batch=request.get("batch"),
        version=(journal.get(f"export:{rung}") or {}).get("version"),
        champion=judged.get("champion"),
        score=judged.get("score"),
        checks=checks_of(judged.get("verdict")),
        until=run.until,
    )
