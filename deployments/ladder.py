"""Which rungs of learning are tried, one after another, until the gate is content."""

from typing import Literal

from monitoring.config import Action

Rung = Literal["bootstrap", "patch", "update", "retrain", "shadow", "tune", "job"]
"""Where a candidate comes from; `shadow`: one of earlier batches has proven itself since; `tune`: a search's pick;
`job`: the retraining service trained it on a file that was sent.
"""

_LADDER: tuple[Rung, ...] = ("patch", "update", "retrain")


def next_rung(action: Action, tried: tuple[Rung, ...], champion_holds: bool) -> Rung | None:
    """The rung to try after those already refused, None when there is none.

    A full retrain costs as much as all history, so the ladder climbs to it by itself only while the champion no
    longer holds the gate's own threshold: a candidate refused beside a sound champion is no reason to start over.
    """
    if action == "none":
        return None
    if action == "bootstrap":
        return None if tried else "bootstrap"
    left: list[Rung] = [rung for rung in _LADDER[_LADDER.index(action) :] if rung not in tried]
    if not left or (left[0] == "retrain" and tried and champion_holds):
        return None
    return left[0]
