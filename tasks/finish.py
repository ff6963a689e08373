"""Finish: a batch's record for the report; from here on it is a duplicate."""

from typing import Any

from data.landing import clear_landing
from deployments.drafts import clear_drafts
from deployments.line import Line
from deployments.outcomes import Batch
from deployments.report import batch_record
from tasks.step import step


@step("finish", dict[str, Any])
def finish_batch(line: Line, batch: Batch) -> dict[str, Any]:
    """Gather what the steps said into one record, and clear what only they needed."""
    champion = line.ledger.champion(line.name)
    journal = line.ledger.journal(line.name, batch.id)
    clear_drafts(line.draft_folder(batch.number))
    clear_landing(line.landing, batch.id)
    return batch_record(batch, journal, champion.version if champion else None)
