"""Triage: what happened to a batch, before anything is decided about it."""

from deployments.kinds import kind_of
from deployments.line import AnyLine
from deployments.outcomes import Batch, Validated, Watched
from monitoring.causes import Triage
from tasks.step import step


@step("triage", Triage)
def triage_batch(line: AnyLine, batch: Batch, validated: Validated, watched: Watched) -> Triage:
    """Hold the batch against what was before, and its sensors or channels against one another."""
    return kind_of(line).triage(batch, validated, watched)
