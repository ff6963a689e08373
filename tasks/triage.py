"""Triage: what happened to a batch, before anything is decided about it."""

from deployments.kinds import kind_of
from deployments.line import AnyLine
from deployments.outcomes import Batch, Validated
from monitoring.causes import Triage
from tasks.step import step


@step("triage", Triage)
def triage_batch(line: AnyLine, batch: Batch, validated: Validated) -> Triage:
    """Hold the batch against the stored regimes and its sensors against one another."""
    return kind_of(line).triage(batch, validated)
