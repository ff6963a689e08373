"""Confirm: a champion that was promoted on an estimate is judged again when the labels have come."""

from deployments.confirming import confirm
from deployments.line import Line
from deployments.outcomes import Batch, Confirmed
from tasks.step import step


@step("confirm", Confirmed | None)
def confirm_champion(line: Line, batch: Batch) -> Confirmed | None:
    """Repeat the gate's comparison on the rows that had no labels then; None where there is nothing to confirm."""
    return confirm(line, batch)
