"""Revoke: a champion whose predecessor proves to be better is taken back."""

from deployments.line import Line
from deployments.outcomes import Batch, Revoked, Watched
from deployments.rivalry import take_back
from tasks.step import step


@step("revoke", Revoked | None)
def revoke_champion(line: Line, batch: Batch, watched: Watched) -> Revoked | None:
    """Roll back to the predecessor where the evidence of the batches since is enough."""
    return take_back(line, watched)
