"""What the latest check for drift could have seen, and what not, in sentences for people."""

from collections.abc import Mapping, Sequence
from typing import Any

MOST_NAMED = 8


def sight_of(records: Sequence[Mapping[str, Any]]) -> list[str]:
    """A line on the shifts that would show, and one for each reason why something would not; empty before any check.

    records: the report's batches. Of many features the least visible are named.
    """
    watched = [record["drift"] for record in records if (record.get("drift") or {}).get("evidence")]
    if not watched:
        return []
    evidence = watched[-1]["evidence"]
    if watched[-1].get("statistic") == "centre":  # of sessions, which have no deviations to be told in
        return _muted(evidence["muted"])
    return [*_detectable(evidence["detectable"]), *_muted(evidence["muted"])]


def _detectable(shifts: Mapping[str, float]) -> list[str]:
    if not shifts:
        return ["drift: no shift of level could have been seen"]
    least_visible = sorted(shifts, key=lambda name: -shifts[name])
    told = ", ".join(f"{name} {shifts[name]:.2g}" for name in least_visible[:MOST_NAMED])
    more = len(shifts) - MOST_NAMED
    others = f" and {more} more from {shifts[least_visible[MOST_NAMED]]:.2g} down" if more > 0 else ""
    return [f"drift: a lasting shift shows from so many deviations on: {told}{others}"]


def _muted(reasons: Mapping[str, str]) -> list[str]:
    names: dict[str, list[str]] = {}
    for name, reason in reasons.items():
        names.setdefault(reason, []).append(name)
    return [f"drift not seen in {_some(told)}: {reason}" for reason, told in names.items()]


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    return ", ".join(names[:MOST_NAMED]) + more
