"""The champion beside its rival: the version before it on probation, or the one that is to prove itself.

Shapes: B labelled samples of one batch, in order of time.
"""

from dataclasses import replace

import polars as pl

from data.windows import make_samples
from deployments.champions import Version, lineage_of, version_of
from deployments.export import check_parity
from deployments.line import AnyLine, Line
from deployments.outcomes import Exported, Revoked, Rivalry, Watched
from deployments.promotion import roll_back
from monitoring.performance import row_losses, score
from monitoring.wager import Floats, Wager


def compare_with_rival(
    line: Line, champion: Version, score_champion: float, losses_B: Floats, rows: pl.DataFrame, before: Rivalry | None
) -> Rivalry | None:
    """Both on the rows of a batch that neither has learned from; None where the champion has no rival.

    losses_B: the champion's. before: what earlier batches have shown with the same champion.

    On probation the rival is the version that the champion replaced, unless a rollback put the champion there. With
    proof it is the newest version since, whichever batch it last learned from: what is compared is the lineage.
    After `gate.shadow_batches` without an answer the comparison is over. A predecessor is not scored any more; a
    shadow's lineage is given up, so that learning starts from the champion again, with a new wager.
    """
    role = "predecessor" if line.config.gate.appetite == "probation" else "shadow"
    before = before if before is not None and before.role == role else None
    if before is not None and before.over and role == "predecessor":
        return replace(before, ended=None)
    rival = _predecessor(line) if role == "predecessor" else lineage_of(line)
    if rival is None or rival.number == champion.number:
        return None if before is None else replace(before, ended=None)
    fresh = Rivalry(champion.number, rival.number, role, Wager(), line.config.metric)
    so_far = fresh if before is None else replace(fresh, given_up=before.given_up) if before.over else before
    return _end_in_time(
        line, _observe(line, replace(so_far, rival=rival.number), rival, score_champion, losses_B, rows)
    )


def _observe(
    line: Line, so_far: Rivalry, rival: Version, score_champion: float, losses_B: Floats, rows: pl.DataFrame
) -> Rivalry:
    samples = make_samples(rows, line.schema, line.window_length, rival.classes, keep_unknown=True)
    predictions, targets_B = rival.model.predict_samples(samples), samples.targets_B.numpy()
    of_rival_B = row_losses(line.config.metric, predictions, targets_B)
    worst = max(float(losses_B.max()), float(of_rival_B.max()))
    known = len(so_far.wager.gains)
    means = [
        (mean * known + new) / (known + 1)
        for mean, new in (
            (so_far.score_champion, score_champion),
            (so_far.score_rival, score(line.config.metric, predictions, targets_B)),
        )
    ]
    wager = so_far.wager.observe(losses_B - of_rival_B, worst)
    return replace(so_far, wager=wager, score_champion=means[0], score_rival=means[1])


def _end_in_time(line: Line, rivalry: Rivalry) -> Rivalry:
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


def export_again(line: Line, number: int) -> Exported:
    """A registered version as if it had just been exported."""
    version = version_of(line, number)
    served, features = version.candidate.served(), len(line.schema.features)
    parity = check_parity(served, version.onnx, features, line.window_length, line.config.training.seed)
    return Exported(number, parity)


def _predecessor(line: Line) -> Version | None:
    promotion = line.ledger.champion(line.name)
    if promotion is None or promotion.previous is None or promotion.verdict is None:
        return None
    return version_of(line, promotion.previous)
