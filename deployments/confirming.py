"""Promotions on an estimate, confirmed or taken back once the labels have come."""

from pydantic import TypeAdapter

from data.entries import Promotion
from deployments.estimates import labels_have_come
from deployments.exporting import export_again
from deployments.judging import judge_again
from deployments.line import AnyLine, Line
from deployments.outcomes import Batch, Confirmed, OnEstimate, Revoked
from deployments.promotion import roll_back


def confirm(line: Line, batch: Batch) -> Confirmed | None:
    """Judge the champion again if it was promoted on an estimate and the labels have come; None otherwise.

    It is held against the version that it replaced, on all held-out rows that are labelled by now.
    """
    promotion = line.ledger.champion(line.name)
    resting = None if promotion is None else resting_on(promotion)
    if promotion is None or resting is None or promotion.previous is None or _is_decided(line, promotion):
        return None
    if not labels_have_come(line, resting):
        return None
    verdict = judge_again(line, batch, export_again(line, promotion.version), promotion.previous)
    return Confirmed(promotion.version, promotion.sequence, verdict.passed, verdict.reason)


def take_back_unconfirmed(line: AnyLine, confirmed: Confirmed | None) -> Revoked | None:
    """Put the version that was replaced into production again where the labels do not bear the promotion out.

    A run that died after the swap finds it done.
    """
    if confirmed is None or confirmed.passed:
        return None
    promotion = next(p for p in line.ledger.history(line.name) if p.sequence == confirmed.sequence)
    assert promotion.previous is not None, "only what replaced another version is confirmed"
    reason = f"promoted on an estimate that the labels do not bear out: {confirmed.reason}"
    champion = line.ledger.champion(line.name)
    if champion is not None and champion.sequence == confirmed.sequence:
        roll_back(line.ledger, line.registry, line.name, reason, promotion.previous)
    return Revoked(confirmed.version, promotion.previous, reason)


def resting_on(promotion: Promotion) -> OnEstimate | None:
    """What a promotion rested on that could only be estimated; None where nothing was."""
    found = None if promotion.verdict is None else promotion.verdict.get("on_estimate")
    return None if found is None else TypeAdapter(OnEstimate).validate_python(found)


def _is_decided(line: Line, promotion: Promotion) -> bool:
    decided = line.ledger.outcomes(line.name, "confirm").values()
    return any(found is not None and found["sequence"] == promotion.sequence for found in decided)
