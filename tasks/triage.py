"""Triage: what happened to a batch, before anything is decided about it."""

from deployments.line import Line
from deployments.outcomes import Batch, Validated
from deployments.triaging import triage_stored
from monitoring.causes import Triage
from tasks.step import step


@step("triage", Triage)
def triage_batch(line: Line, batch: Batch, validated: Validated) -> Triage:
    """Hold the batch against the stored regimes and its sensors against one another."""
    return triage_stored(line, batch, validated)
