"""Compare: what else one could have done with the batches before this one."""

from deployments.comparison import compare
from deployments.line import Line
from deployments.outcomes import Batch, Compared
from tasks.step import step


@step("compare", Compared)
def compare_batch(line: Line, batch: Batch) -> Compared:
    """Score a static first champion, a cumulative and a sliding retrain on the batch."""
    return compare(line, batch)
