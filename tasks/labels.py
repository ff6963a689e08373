"""Labels: those that come later than their rows find them by key."""

from data.landing import landed
from deployments.labels import take_labels
from deployments.line import Line
from deployments.outcomes import Batch, LabelsTaken
from tasks.step import step


@step("labels", LabelsTaken)
def take_late_labels(line: Line, batch: Batch) -> LabelsTaken:
    """Join the labels to their rows; those without one wait, and what is no label goes to quarantine."""
    return take_labels(line, batch, landed(line.landing, batch.id, batch.name))
