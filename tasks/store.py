"""Store: the sound rows enter the feature store, once, with the part they play."""

from data.landing import staged
from data.seals import seal_batch
from data.splits import mark_rows
from deployments.labels import join_waiting
from deployments.line import Line
from deployments.outcomes import Batch, Stored
from tasks.lineage import trace_batch
from tasks.step import step


@step("store", Stored)
def store_batch(line: Line, batch: Batch) -> Stored:
    """Split the staged rows into training and hold-out, and append them under the batch's id."""
    staged_rows, contradicted = join_waiting(line, batch, staged(line.landing, batch.id))
    rows = mark_rows(staged_rows, line.config.data, batch.number)
    version, split = line.store.append(batch.id, rows), rows["lehr_split"]
    seal = seal_batch(line.store.folder, version, rows)
    labelled = rows.height - rows[line.schema.target].null_count()
    rows_train, rows_holdout = int((split == "train").sum()), int((split == "holdout").sum())
    stored = Stored(version, rows_train, rows_holdout, seal, labelled, contradicted)
    trace_batch(line, batch, stored)
    return stored
