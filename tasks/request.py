"""Request: what was asked of a pipeline besides its batches, from the decision to the record."""

from typing import Any

from prefect import get_run_logger

from deployments.announcements import changes
from deployments.drafts import clear_drafts
from deployments.line import AnyLine
from deployments.outcomes import Batch
from deployments.publishing import note
from deployments.requests import decision_on, request_record, request_text
from monitoring.policies import Decision
from tasks.announce import emit
from tasks.step import step


@step("decide", Decision)
def decide_on_request(line: AnyLine, batch: Batch, asked: Decision) -> Decision:
    """What was asked, unless an update finds nothing that the line has not learned from yet."""
    return decision_on(line, batch, asked)


@step("finish", dict[str, Any])
def finish_request(line: AnyLine, batch: Batch) -> dict[str, Any]:
    """Gather what the steps said into one record, announce it, and clear what only they needed."""
    record = request_record(line, batch)
    get_run_logger().info(request_text(record))
    clear_drafts(line.draft_folder(batch.number))
    found = changes(record)
    if line.broker is not None:
        note(line.folder, line.name, batch.id, found)
    for announcement in found:
        emit(line, batch.id, announcement)
    return record


@step("decide", Decision)
def note_decision(line: AnyLine, batch: Batch, asked: Decision) -> Decision:
    """Keep what was asked as the decision."""
    return asked
