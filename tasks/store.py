"""Store: the sound rows enter the feature store, once, with the part they play."""

from data.landing import staged
from data.seals import seal_batch
from data.splits import mark_rows
from deployments.line import Line
from deployments.outcomes import Batch, Stored
from tasks.lineage import trace_batch
from tasks.step import step


@step("store", Stored)
def store_batch(line: Line, batch: Batch) -> Stored:
    """Split the staged rows into training and hold-out, and append them under the batch's id."""
    rows = mark_rows(staged(line.landing, batch.id), line.config.data, batch.number)
    version, split = line.store.append(batch.id, rows), rows["lehr_split"]
    seal = seal_batch(line.store.folder, version, rows)
    stored = Stored(version, int((split == "train").sum()), int((split == "holdout").sum()), seal)
    trace_batch(line, batch, stored)
    return stored
