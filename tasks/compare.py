"""Compare: what else one could have done."""

from deployments.comparison import compare, retrain_compared
from deployments.line import Line
from deployments.outcomes import Batch, Compared, Retrained
from tasks.step import step


@step("compare", Compared)
def compare_batch(line: Line, batch: Batch) -> Compared:
    """Score a static first champion, a cumulative and a sliding retrain on the batch."""
    return compare(line, batch)


@step("retrain-compared", Retrained)
def retrain_compared_with(line: Line, batch: Batch) -> Retrained:
    """Train the networks that the loop is compared with on the next batch."""
    return retrain_compared(line, batch)
