"""Watch: how the champion does on a batch before anything learns from it, and whether the batch drifted."""

from deployments.kinds import kind_of
from deployments.late import watch_labels
from deployments.line import AnyLine, Line
from deployments.outcomes import Batch, LabelsTaken, Watched
from tasks.show import show_drift
from tasks.step import step


@step("watch", Watched)
def watch_batch(line: AnyLine, batch: Batch) -> Watched:
    """Score the champion on the batch and hold the batch against the champion's reference."""
    watched = kind_of(line).watch(batch)
    if watched.drift is not None:
        show_drift(line, batch, watched.drift)
    return watched


@step("watch", Watched)
def watch_late_labels(line: Line, batch: Batch, taken: LabelsTaken) -> Watched:
    """Score the versions that served them on the rows whose labels have come."""
    return watch_labels(line, batch, taken)
