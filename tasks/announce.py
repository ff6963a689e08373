"""Announce: what happened to a batch, as Prefect events that automations, alerts and other deployments start from."""

from collections.abc import Collection, Sequence
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from prefect.events import emit_event
from prefect.events.worker import EventsWorker

from data.entries import Promotion
from deployments.announcements import ROLLED_BACK, Announcement, announcements
from deployments.definitions import pipeline_resource
from deployments.line import AnyLine
from deployments.outcomes import Batch
from deployments.publishing import note
from monitoring.config import TriggerKind


def announce_batch(
    line: AnyLine, batch: Batch, record: dict[str, Any], fired: Collection[TriggerKind], due: bool
) -> None:
    """Emit the batch's events and wait until they are sent: a step that is journalled is not done again.

    One that was emitted before a crash has the same id the second time.
    """
    announce(line, batch.id, announcements(record, fired, due))


def announce(line: AnyLine, what: str, found: Sequence[Announcement]) -> None:
    """Put events into the outbox and emit them, and wait until they are sent; what: the id of what they are about."""
    if line.broker is not None:
        note(line.folder, line.name, what, found)
    for announcement in found:
        emit(line, what, announcement)
    EventsWorker.instance().wait_until_empty()


def emit(line: AnyLine, what: str, announcement: Announcement) -> None:
    """Emit one event about the pipeline; what: the id of what it is about, so that a second time is the same event."""
    resource = {"prefect.resource.id": pipeline_resource(line.name), "prefect.resource.name": line.name}
    emit_event(
        event=announcement.event,
        resource={**resource, **announcement.labels},
        payload=announcement.payload,
        id=uuid5(NAMESPACE_URL, f"{line.name} {what} {announcement.event}"),
    )


def announce_rollback(line: AnyLine, promotion: Promotion) -> None:
    """Emit that a person put an earlier version back."""
    payload = {"version": promotion.version, "was": promotion.previous, "reason": promotion.reason}
    emit(line, f"promotion {promotion.sequence}", Announcement(ROLLED_BACK, payload, {}))
