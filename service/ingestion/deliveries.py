"""Routes: pipelines, and what is delivered to them."""

from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Request
from fastapi import Path as InPath
from pydantic import BaseModel, Field
from starlette.concurrency import run_in_threadpool

from data.files import sync_folder
from data.inbox import waiting
from deployments.line import inbox_of
from deployments.promotion import earlier_versions
from service.core import Core, CoreOf, now
from service.ingestion.receiving import FILE_BODY, Received, columns_of, receive_file
from service.problems import Problem, documented
from service.security.access import needs
from service.security.idempotency import IdempotencyKey, once
from service.security.tokens import Role

MOST_WAITING = 1000
"""Files in an inbox: with more the loop lags, and deliveries are to come later."""
LAG_SECONDS = 60
READERS: tuple[Role, ...] = ("predict", "ingest", "train", "promote")
"""Who may see where pipelines stand."""

router = APIRouter(prefix="/api/v1/pipelines", tags=["pipelines"])
Name = Annotated[str, InPath(max_length=100, examples=["glass-line"])]
BatchId = Annotated[str, InPath(pattern=r"^[0-9a-f]{64}$", examples=["9f" * 32])]


class PipelineState(BaseModel):
    """A pipeline, and where it stands."""

    name: str = Field(examples=["glass-line"])
    champion: int | None = Field(examples=[7], description="the version in production; null: none yet")
    since: datetime | None = None
    reason: str | None = Field(default=None, examples=["bootstrap: the first champion"])
    earlier: list[int] = Field(examples=[[5, 6]], description="versions that were in production and are not now")
    decided: datetime | None = Field(default=None, description="when the loop was last done with a batch or request")
    batches: int = Field(examples=[12], description="that came, labels among them")
    waiting: int | None = Field(examples=[0], description="files in the inbox; null: the service has not its file")


class Pipelines(BaseModel):
    """All pipelines."""

    pipelines: list[PipelineState]


class Delivery(BaseModel):
    """What was delivered; waiting: the loop takes it with its next run; known: its content came before."""

    pipeline: str = Field(examples=["glass-line"])
    batch_id: str = Field(examples=["9f" * 32], description="the SHA-256 of its content")
    name: str = Field(examples=["2026-01-01.csv"])
    bytes: int
    state: Literal["waiting", "known"]


class BatchState(BaseModel):
    """What has become of a delivery; record: what the loop said of it once it is done."""

    pipeline: str = Field(examples=["glass-line"])
    batch_id: str = Field(examples=["9f" * 32])
    state: Literal["waiting", "at work", "accepted", "quarantined"]
    number: int | None = Field(default=None, examples=[12])
    reason: str | None = Field(default=None, description="of a quarantine")
    record: dict[str, Any] | None = None


@router.get("", dependencies=[needs(*READERS)], responses=documented())
def pipelines(core: CoreOf) -> Pipelines:
    """Every pipeline that the service has a file of, or that the ledger knows."""
    names = sorted({*core.pipelines, *core.ledger.pipelines()})
    return Pipelines(pipelines=[_state(core, name) for name in names])


@router.post(
    "/{name}/batches",
    status_code=202,
    dependencies=[needs("ingest")],
    responses=documented(404, 422, 507),
    openapi_extra=FILE_BODY,
)
async def deliver_batch(
    name: Name, request: Request, core: CoreOf, filename: str | None = None, idempotency_key: IdempotencyKey = None
) -> Delivery:
    """Deliver a batch: a CSV (plain or gzip) or Parquet file as the part `file`, or as the body beside `?filename=`.

    It waits in the pipeline's inbox for the loop's next run, in order of arrival. The same content again is known.
    """
    inbox = open_inbox(core, name)
    received = await receive_file(request, inbox, filename)
    return await run_in_threadpool(_deliver, core, request, name, received, idempotency_key)


@router.get("/{name}/batches/{batch_id}", dependencies=[needs("ingest")], responses=documented(404, 422))
def batch(name: Name, batch_id: BatchId, core: CoreOf) -> BatchState:
    """What has become of a delivery."""
    entry = _entry(core, name, batch_id)
    if entry is None:
        if name in core.pipelines and _place(open_inbox(core, name), batch_id) is not None:
            return BatchState(pipeline=name, batch_id=batch_id, state="waiting")
        raise Problem(404, f"nothing with the content {batch_id[:12]}… was delivered to {name[:100]!r}")
    record: dict[str, Any] | None = core.ledger.journal(name, batch_id).get("finish")
    if record is None:
        return BatchState(pipeline=name, batch_id=batch_id, state="at work", number=entry)
    state, reason = record["status"], record["reason"]
    return BatchState(pipeline=name, batch_id=batch_id, state=state, number=entry, reason=reason, record=record)


def _deliver(core: Core, request: Request, name: str, received: Received, key: str | None) -> Delivery:
    try:
        columns_of(received, core.service.max_unpacked_bytes)
        return put_into_inbox(core, request, name, received, key)
    finally:
        received.path.unlink(missing_ok=True)


def put_into_inbox(core: Core, request: Request, name: str, received: Received, key: str | None) -> Delivery:
    """Let the loop see a file, once under its key: what is known is not put there again."""
    return once(core.settings.home, request, key, received.sha256, partial(_put, core, name, received), Delivery)


def _put(core: Core, name: str, received: Received) -> Delivery:
    """Let the loop see the file: one rename, in order of arrival; what is known is not put there again."""
    inbox, batch_id = received.path.parent, received.sha256
    known = _entry(core, name, batch_id) is not None or _place(inbox, batch_id) is not None
    if not known:
        suffix = received.format
        received.path.replace(inbox / f"{now():%Y%m%dT%H%M%S.%fZ}-{batch_id}.{suffix}")
        sync_folder(inbox)
    state = "known" if known else "waiting"
    return Delivery(pipeline=name, batch_id=batch_id, name=received.name, bytes=received.bytes, state=state)


def open_inbox(core: Core, name: str) -> Path:
    """Where deliveries wait; raises Problem 404 for a pipeline without a file here, and 429 where its loop lags."""
    if name not in core.pipelines:
        known = ", ".join(sorted(core.pipelines)) or "none"
        raise Problem(404, f"the service was not started with a pipeline {name[:100]!r}; it has {known}")
    inbox = inbox_of(core.pipelines[name], core.settings)
    if len(waiting(inbox)) >= MOST_WAITING:
        said = f"{MOST_WAITING} deliveries wait for the loop of {name} already"
        raise Problem(429, said, {"Retry-After": str(LAG_SECONDS)})
    return inbox


def _place(inbox: Path, batch_id: str) -> Path | None:
    return next((file for file in waiting(inbox) if batch_id in file.name), None)


def _entry(core: Core, name: str, batch_id: str) -> int | None:
    """The number under which the loop has begun with this content."""
    entries = (entry for entry in core.ledger.batches(name) if entry.batch_id == batch_id)
    return next((entry.number for entry in entries), None)


def _state(core: Core, name: str) -> PipelineState:
    history, decided = core.ledger.history(name), core.ledger.latest_results(name, "finish", 1)
    champion = history[-1] if history else None
    return PipelineState(
        name=name,
        champion=champion.version if champion else None,
        since=champion.at if champion else None,
        reason=champion.reason if champion else None,
        earlier=earlier_versions(history),
        decided=decided[0].at if decided else None,
        batches=len(core.ledger.batches(name)),
        waiting=len(waiting(inbox_of(core.pipelines[name], core.settings))) if name in core.pipelines else None,
    )
