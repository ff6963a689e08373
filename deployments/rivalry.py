"""The champion beside its rival: the version before it on probation, or the one that is to prove itself.

Shapes: B labelled samples of one batch, in order of time.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

from deployments.champions import lineage_number
from deployments.line import AnyLine
from deployments.outcomes import Revoked, Rivalry, Watched
from deployments.promotion import roll_back
from monitoring.wager import Floats, Wager


@dataclass(frozen=True)
class Beside:
    """Champion and rival on the same samples: what each sample costs with either, and the score of both."""

    losses_champion_B: Floats
    losses_rival_B: Floats
    score_champion: float
    score_rival: float


def compare_with_rival(
    line: AnyLine, champion: int, before: Rivalry | None, look: Callable[[int], Beside]
) -> Rivalry | None:
    """Both on what neither has learned from; None where the champion, a version's number, has no rival.

    before: what earlier batches have shown with the same champion. look: puts a version beside the champion.

    On probation the rival is the version that the champion replaced, unless a rollback put the champion there. With
    proof it is the newest version since, whichever batch it last learned from: what is compared is the lineage.
    After `gate.shadow_batches` without an answer the comparison is over. A predecessor is not scored any more; a
    shadow's lineage is given up, so that learning starts from the champion again, with a new wager.
    """
    role = "predecessor" if line.config.gate.appetite == "probation" else "shadow"
    before = before if before is not None and before.role == role else None
    if before is not None and before.over and role == "predecessor":
        return replace(before, ended=None)
    rival = _predecessor(line) if role == "predecessor" else lineage_number(line)
    if rival is None or rival == champion:
        return None if before is None else replace(before, ended=None)
    fresh = Rivalry(champion, rival, role, Wager(), line.config.metric)
    so_far = fresh if before is None else replace(fresh, given_up=before.given_up) if before.over else before
    return _end_in_time(line, _observe(replace(so_far, rival=rival), look(rival)))


def _observe(so_far: Rivalry, beside: Beside) -> Rivalry:
    if len(beside.losses_champion_B) == 0:
        return so_far
    worst = max(float(beside.losses_champion_B.max()), float(beside.losses_rival_B.max()))
    known = len(so_far.wager.gains)
    means = [
        (mean * known + new) / (known + 1)
        for mean, new in (
            (so_far.score_champion, beside.score_champion),
            (so_far.score_rival, beside.score_rival),
        )
    ]
    wager = so_far.wager.observe(beside.losses_champion_B - beside.losses_rival_B, worst)
    return replace(so_far, wager=wager, score_champion=means[0], score_rival=means[1])


def _end_in_time(line: AnyLine, rivalry: Rivalry) -> Rivalry:
    deadline = line.config.gate.shadow_batches
    if rivalry.wager.proven or len(rivalry.wager.gains) < deadline:
        return rivalry
    if rivalry.role == "predecessor":
        return replace(rivalry, over=True, ended=f"version {rivalry.champion} is through its probation: {rivalry.text}")
    reason = f"given up in the shadow after {deadline} batches without proof: {rivalry.text}"
    return replace(rivalry, over=True, ended=reason, given_up=rivalry.rival)


def take_back(line: AnyLine, watched: Watched) -> Revoked | None:
    """Put the predecessor into production again where it has proven to be better; None where it has not.

    A run that died after the swap finds it done.
    """
    rivalry = watched.rivalry
    if rivalry is None or rivalry.role != "predecessor" or not rivalry.wager.proven:
        return None
    champion = line.ledger.champion(line.name)
    assert champion is not None, "a rival has a champion beside it"
    if champion.version == rivalry.champion:
        roll_back(line.ledger, line.registry, line.name, rivalry.text, rivalry.rival)
    return Revoked(rivalry.champion, rivalry.rival, rivalry.text)


def _predecessor(line: AnyLine) -> int | None:
    promotion = line.ledger.champion(line.name)
    return None if promotion is None or promotion.verdict is None else promotion.previous
