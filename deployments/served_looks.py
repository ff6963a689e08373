"""Looks at what is served, as often as the budget of false alarms allows, and what is told when it begins to drift."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from pydantic import AwareDatetime, BaseModel, ConfigDict

from data.files import write_whole
from data.served_inputs import files_served
from deployments.announcements import DRIFT, Announcement
from deployments.line import Line
from deployments.served import ServedDrift, watch_served

LOOK_EVERY = timedelta(days=1)
"""The budget is one of 365 looks a year; twice as many records as before are worth one beside them."""
CALM = 0.5
"""Drift is over once the evidence, as a logarithm, falls below this share of its limit."""


class Look(BaseModel):
    """The latest look since a promotion: how many records there were, whether it drifts, and how often it began to."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    promotion: int
    at: AwareDatetime
    records: int
    drifts: bool
    times: int


@dataclass(frozen=True)
class Looked:
    """A look, and what is to be told because of it."""

    look: Look
    told: Announcement | None

    @property
    def about(self) -> str:
        """By which what is told a second time is known."""
        return f"served {self.look.promotion} {self.look.times}"


def look_at_served(line: Line, at: datetime) -> Looked | None:
    """Look whether what is asked of the champion drifts; None where it is too soon, or there is nothing to look at.

    Drift is told when it begins, and again only after it was over. Nothing is kept: `keep_look` does that, once
    what is to be told was.
    """
    promotion = line.ledger.champion(line.name)
    if promotion is None:
        return None
    before, records = _look_before(line.folder, promotion.sequence), len(files_served(line.folder, promotion.at))
    if before is not None and at - before.at < LOOK_EVERY and records < 2 * before.records:
        return None
    found = watch_served(line)
    if found is None:
        return None
    evidence = found.report.evidence
    drifted_before, times = (before.drifts, before.times) if before else (False, 0)
    drifts = evidence.drifted or (drifted_before and evidence.log_e_value >= CALM * evidence.log_limit)
    begins = drifts and not drifted_before
    look = Look(promotion=promotion.sequence, at=at, records=records, drifts=drifts, times=times + begins)
    return Looked(look, _announcement(found) if begins else None)


def keep_look(folder: Path, look: Look) -> None:
    """Note a look in the pipeline's folder."""
    write_whole(_place(folder), look.model_dump_json().encode())


def _announcement(found: ServedDrift) -> Announcement:
    """As drift of a batch is told; there is nothing to learn from before labels come."""
    evidence = found.report.evidence
    asked = {"of": "predictions", "version": found.version, "samples": found.samples}
    features = list(dict.fromkeys(carrier.feature for carrier in evidence.carriers))
    reason = f"what version {found.version} is asked: {evidence.summary}"
    payload = {**asked, "score": evidence.log_e_value, "features": features, "reason": reason}
    return Announcement(DRIFT, payload, {})


def _look_before(folder: Path, promotion: int) -> Look | None:
    try:
        look = Look.model_validate_json(_place(folder).read_bytes())
    except FileNotFoundError:
        return None
    return look if look.promotion == promotion else None


def _place(folder: Path) -> Path:
    return folder / "served" / "look.json"
