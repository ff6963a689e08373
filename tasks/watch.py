"""Watch: how the champion does on a batch before anything learns from it, and whether the batch drifted."""

from deployments.late import watch_labels
from deployments.line import Line
from deployments.outcomes import Batch, LabelsTaken, Watched
from deployments.watching import watch
from tasks.step import step


@step("watch", Watched)
def watch_batch(line: Line, batch: Batch) -> Watched:
    """Score the champion on the batch and hold the batch against the champion's reference."""
    return watch(line, batch)


@step("watch", Watched)
def watch_late_labels(line: Line, batch: Batch, taken: LabelsTaken) -> Watched:
    """Score the versions that served them on the rows whose labels have come."""
    return watch_labels(line, batch, taken)
