"""Watch: how the champion does on a batch before anything learns from it, and whether the batch drifted."""

from deployments.line import Line
from deployments.outcomes import Batch, Watched
from deployments.watching import watch
from tasks.step import step


@step("watch", Watched)
def watch_batch(line: Line, batch: Batch) -> Watched:
    """Score the champion on the batch and hold the batch against the champion's reference."""
    return watch(line, batch)
