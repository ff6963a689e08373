"""The champion beside its rival: the version before it on probation, or the one that is to prove itself.

Shapes: B labelled samples of one batch, in order of time.
"""

import polars as pl

from data.windows import make_samples
from deployments.champions import Version, lineage_of, version_of
from deployments.export import check_parity
from deployments.line import Line
from deployments.outcomes import Exported, Revoked, Rivalry, Watched
from deployments.promotion import roll_back
from monitoring.performance import row_losses
from monitoring.wager import Floats, Wager


def compare_with_rival(
    line: Line, champion: Version, losses_B: Floats, rows: pl.DataFrame, before: Rivalry | None
) -> Rivalry | None:
    """Both on the rows of a batch that neither has learned from; None where the champion has no rival.

    losses_B: the champion's. before: what earlier batches have shown with the same champion.

    On probation the rival is the version that the champion replaced, unless a rollback put the champion there. With
    proof it is the newest version since, whichever batch it last learned from: what is compared is the lineage.
    """
    role = "predecessor" if line.config.gate.appetite == "probation" else "shadow"
    rival = _predecessor(line) if role == "predecessor" else lineage_of(line)
    if rival is None or rival.number == champion.number:
        return None
    wager = before.wager if before is not None and before.role == role else Wager()
    gains_B = losses_B - _losses(line, rival, rows)
    return Rivalry(champion.number, rival.number, role, wager.observe(gains_B))


def take_back(line: Line, watched: Watched) -> Revoked | None:
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


def _losses(line: Line, version: Version, rows: pl.DataFrame) -> Floats:
    samples = make_samples(rows, line.schema, line.window_length, version.classes, keep_unknown=True)
    return row_losses(line.config.metric, version.model.predict_samples(samples), samples.targets_B.numpy())
