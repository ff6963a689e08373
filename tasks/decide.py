"""Decide: what to do with a batch, and why."""

from deployments.deciding import situation_of
from deployments.line import AnyLine
from deployments.outcomes import Batch, Watched
from monitoring.causes import Triage
from monitoring.config import LearningAction
from monitoring.policies import Decision, decide
from tasks.step import step


@step("decide", Decision)
def decide_on_batch(
    line: AnyLine, batch: Batch, watched: Watched, triaged: Triage | None, manual: LearningAction | None
) -> Decision:
    """Apply the pipeline's trigger policy to what was watched and named."""
    return decide(line.config.trigger, situation_of(line, batch, watched, triaged, manual))
