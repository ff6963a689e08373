"""Revoke: a champion is taken back whose predecessor proves to be better, or which the labels do not bear out."""

from deployments.confirming import take_back_unconfirmed
from deployments.line import AnyLine
from deployments.outcomes import Batch, Confirmed, Revoked, Watched
from deployments.rivalry import take_back
from tasks.step import step


@step("revoke", Revoked | None)
def revoke_champion(line: AnyLine, batch: Batch, watched: Watched, confirmed: Confirmed | None) -> Revoked | None:
    """Roll back to the predecessor where the evidence of the batches since, or the gate's second verdict, says so."""
    return take_back(line, watched) or take_back_unconfirmed(line, confirmed)
