"""Finish: a batch's record for the report; from here on it is a duplicate."""

from typing import Any

from prefect import get_run_logger

from data.landing import clear_landing
from deployments.drafts import clear_drafts
from deployments.line import AnyLine, tell_others
from deployments.outcomes import Batch
from deployments.report import batch_record
from monitoring.config import TriggerKind
from monitoring.terminal import batch_line, open_console, unit_of
from tasks.announce import announce_batch
from tasks.step import step


@step("finish", dict[str, Any])
def finish_batch(line: AnyLine, batch: Batch, fired: tuple[TriggerKind, ...] = (), due: bool = False) -> dict[str, Any]:
    """Gather what the steps said into one record, announce it, and clear what only they needed.

    fired: the kinds of trigger that fire on it. due: learning from it is left to a run of its own.
    """
    champion = line.ledger.champion(line.name)
    journal = line.ledger.journal(line.name, batch.id)
    clear_drafts(line.draft_folder(batch.number))
    clear_landing(line.landing, batch.id)
    record = batch_record(batch, journal, champion.version if champion else None)
    announce_batch(line, batch, record, fired, due)
    return record


def tell_batch(line: AnyLine, record: dict[str, Any]) -> dict[str, Any]:
    """Say on the terminal, in the run's log, and to other systems what became of a batch."""
    tell_others(line)
    text = batch_line(record, line.config.metric, unit_of(line.config.task))
    open_console().print(text)
    get_run_logger().info(text.plain)
    return record
