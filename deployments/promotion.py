"""Putting a version into production: the ledger decides, the registry follows."""

from collections.abc import Sequence
from dataclasses import asdict

import numpy as np

from data.entries import Promotion
from data.ledger import Ledger
from deployments.champions import card_of, onnx_of, version_of
from deployments.ladder import Rung
from deployments.line import AnyLine, Line
from deployments.outcomes import Batch, Exported, Judged, Promoted
from deployments.registry import Registry

ROLLED_BACK = "rolled back: "
"""How the reason of a promotion begins that puts an earlier version back."""


def log_version(line: AnyLine, batch: Batch, rung: Rung, exported: Exported, judged: Judged, register: bool) -> str:
    """Log a candidate as an MLflow run with its verdict; register it as a model version where it is to go live.

    Returns the run's id.
    """
    card = card_of(line, exported.version)
    checks = {f"gate.{c.name}": c.value for c in judged.verdict.checks if c.value is not None}
    metrics = {**checks, "cost.samples": float(card["cost"]["samples"])}
    params = {"rung": rung, "strategy": card["strategy"], "batch": batch.name, "version": exported.version}
    tags = {"lehr_batch": batch.id, "lehr_passed": str(judged.verdict.passed).lower()}
    run = line.registry.log_candidate(f"{batch.number}-{rung}-{exported.version}", params, metrics, tags)
    if register:
        line.registry.register(exported.version, onnx_of(line, exported.version), run)
    return run


def promote_version(
    line: AnyLine, batch: Batch, exported: Exported, judged: Judged, reason: str, run: str | None = None
) -> Promoted:
    """Swap the champion for this version in the ledger; run: the MLflow run that logged it.

    Raises PromotionConflictError where another version went live since this one was judged.
    """
    champion = line.ledger.champion(line.name)
    promoted, resting = Promoted(exported.version, champion.sequence + 1 if champion else 1, run), judged.on_estimate
    line.ledger.promote(
        line.name,
        exported.version,
        judged.champion,
        {
            "score": judged.score,
            "checks": [asdict(check) for check in judged.verdict.checks],
            "on_estimate": resting and asdict(resting),
        },
        f"{reason} ({resting.text})" if resting else reason,
        (batch.id, "promote", asdict(promoted)),
    )
    return promoted


class SmokeTestError(ValueError):
    """What the alias leads to does not predict as the version did when it was judged."""


def smoke_test(line: Line, version: int) -> None:
    """Predict one sample through the model that MLflow's alias leads to, as a server would.

    Raises SmokeTestError where that fails, is not finite, or differs from the version's own file.
    """
    own = version_of(line, version)
    sample = own.model.zeros(line.window_length)
    try:
        served = line.registry.load_champion().predict(sample)
    except Exception as error:
        raise SmokeTestError(f"version {version} does not load through the alias: {error}") from error
    expected = own.model.predict(sample)
    if not np.isfinite(served).all() or not np.allclose(served, expected, atol=line.config.gate.max_parity_error):
        raise SmokeTestError(f"version {version} predicts {served.tolist()} through the alias, not {expected.tolist()}")


def take_promotion_back(line: AnyLine, promoted: Promoted, previous: int | None) -> None:
    """Put what was in production before a promotion back, in the ledger and in MLflow.

    A pipeline's first champion has nothing before it: it stays, and the error says so.
    """
    if previous is None:
        return
    line.ledger.promote(line.name, previous, promoted.version, None, f"{ROLLED_BACK}its promotion was not completed")
    line.registry.project_champion(previous)


def roll_back(ledger: Ledger, registry: Registry, pipeline: str, reason: str, to: int | None) -> Promotion:
    """Put an earlier version back into production: one more promotion.

    to: a version that was in production before; None: the one that the champion replaced when it first went live, so
    that a second rollback goes further back instead of forward again.
    Raises ValueError, with what is allowed, where there is no such version.
    """
    champion, target = rollback_of(ledger, pipeline, to)
    promotion = ledger.promote(pipeline, target, champion, None, f"{ROLLED_BACK}{reason}")
    registry.project_champion(target)
    return promotion


def rollback_of(ledger: Ledger, pipeline: str, to: int | None) -> tuple[int, int]:
    """The champion, and the version that a rollback would put in its place; raises ValueError as `roll_back` does."""
    history = ledger.history(pipeline)
    if not history:
        raise ValueError(f"{pipeline} has no champion to roll back")
    champion, earlier = history[-1].version, earlier_versions(history)
    first_live = next(promotion for promotion in history if promotion.version == champion)
    target = first_live.previous if to is None else to
    if target not in earlier:
        wrong = f" to {to}" if to is not None else f": version {champion} was the first in production"
        allowed = ", ".join(map(str, earlier)) or "none"
        raise ValueError(f"cannot roll {pipeline} back{wrong}; versions that were in production before: {allowed}")
    return champion, target


def earlier_versions(history: Sequence[Promotion]) -> list[int]:
    """Those that were in production and are not now."""
    return sorted({promotion.version for promotion in history} - {promotion.version for promotion in history[-1:]})
