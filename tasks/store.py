"""Store: what is sound enters the feature store, once, with the part that it plays."""

from deployments.kinds import kind_of
from deployments.line import AnyLine
from deployments.outcomes import Batch, Stored
from tasks.lineage import trace_batch
from tasks.step import step


@step("store", Stored)
def store_batch(line: AnyLine, batch: Batch) -> Stored:
    """Split what was staged into training and hold-out, and append it under the batch's id."""
    stored = kind_of(line).store(batch)
    trace_batch(line, batch, stored)
    return stored
