"""Putting a version into production: the ledger decides, the registry follows."""

from data.ledger import Ledger, Promotion
from deployments.registry import Registry


def roll_back(ledger: Ledger, registry: Registry, pipeline: str, reason: str, to: int | None) -> Promotion:
    """Put an earlier version back into production: one more promotion.

    to: a version that was in production before; None: the one before the champion.
    Raises ValueError, with what is allowed, where there is no such version.
    """
    history = ledger.history(pipeline)
    if not history:
        raise ValueError(f"{pipeline} has no champion to roll back")
    champion = history[-1]
    earlier = sorted({promotion.version for promotion in history} - {champion.version})
    target = champion.previous if to is None else to
    if target not in earlier:
        allowed = ", ".join(map(str, earlier)) or "none"
        raise ValueError(f"cannot roll {pipeline} back to {target}; versions that were in production before: {allowed}")
    promotion = ledger.promote(pipeline, target, champion.version, None, f"rolled back: {reason}")
    registry.project_champion(target)
    return promotion
