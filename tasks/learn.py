"""Learn: one rung of the ladder makes a candidate."""

import sys

from rich.console import Console

from deployments.kinds import kind_of
from deployments.ladder import Rung
from deployments.line import AnyLine
from deployments.outcomes import Batch, Learned
from learning.progress import ProgressBar
from tasks.cancelling import ends_between_batches
from tasks.progress import ProgressArtifact
from tasks.step import step


@step("learn", Learned | None)
def learn_from_batch(line: AnyLine, batch: Batch, rung: Rung) -> Learned | None:
    """Make the rung's candidate and keep it as a draft until it is exported; None where there is nothing to learn."""
    console = Console(stderr=True, quiet=not sys.stderr.isatty())
    title = f"{rung} on {batch.name}"
    callbacks = [ProgressBar(title, console), ProgressArtifact(title), ends_between_batches()]
    return kind_of(line).learn(batch, rung, callbacks)
