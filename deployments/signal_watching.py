"""The champion on a new batch of signals, and the batch's elements against the champion's reference.

Shapes: N signals.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from data.signals import Signals, join_signals
from deployments.outcomes import Batch, Rivalry, Watched
from deployments.rivalry import Beside, compare_with_rival
from deployments.signal_learning import held_out_signals, stored_signals
from deployments.signal_line import SignalLine
from deployments.signal_versions import SignalVersion, represent_with, signal_champion_of, signal_version_of
from deployments.watched import evidence_so_far, watched_before
from monitoring.clusters import ClusterState, check_clusters
from monitoring.representation import SignalScores, score_signals, signal_losses


def watch_signals(line: SignalLine, batch: Batch) -> Watched:
    """Score the champion on a stored batch, before anything learns from it, and look whether clusters have moved.

    As in the gate what may be found as neighbours is what is held out, of this batch and of those before, so that both
    scores can be set side by side. There is none where the metric has none on the batch.
    """
    champion = signal_champion_of(line)
    if champion is None:
        return Watched(None, None, None, None, (), None)
    new = stored_signals(line, range(batch.number, batch.number + 1))
    assert new is not None, "a stored batch has signals"
    found = represent_with(champion.model, new)
    rivalry, detector = evidence_so_far(watched_before(line, batch), champion.number)
    before = None if detector is None else ClusterState.from_json(detector)
    seed = line.config.training.seed + batch.number
    drift, after = check_clusters(champion.reference, before, found.embeddings_NE, new, line.config.drift, seed)
    shown = _shown(line, batch)
    scored = _scored(line, champion, shown)
    rivalry = _beside_rival(line, champion, rivalry, shown, scored)
    scores = scored.scores(shown.asked_N)
    known = scores if line.config.metric in scores else None
    return Watched(champion.number, known, None, drift, (), None, rivalry, after.to_json())


@dataclass(frozen=True)
class _Shown:
    """A batch's signals among those held out; asked_N: the batch's own; held_out_N: what may be found as neighbour."""

    signals: Signals
    asked_N: NDArray[np.bool_]
    held_out_N: NDArray[np.bool_]


def _shown(line: SignalLine, batch: Batch) -> _Shown:
    new = stored_signals(line, range(batch.number, batch.number + 1), "train")
    parts = [part for part in (held_out_signals(line, batch.number), new) if part is not None]
    signals, held_out = join_signals(parts), np.zeros(sum(map(len, parts)), np.bool_)
    held_out[: len(signals) - (0 if new is None else len(new))] = True
    return _Shown(signals, signals.batches_N == batch.number, held_out)


def _scored(line: SignalLine, version: SignalVersion, shown: _Shown) -> SignalScores:
    represented, gate = represent_with(version.model, shown.signals), line.config.gate
    return score_signals(
        represented.embeddings_NE,
        represented.positions,
        shown.signals,
        gate.within,
        shown.asked_N,
        shown.held_out_N,
        gate.judges,
    )


def _beside_rival(
    line: SignalLine, champion: SignalVersion, before: Rivalry | None, shown: _Shown, scored: SignalScores
) -> Rivalry | None:
    """Champion and rival by what each signal of the batch costs under the pipeline's metric."""
    metric = line.config.metric
    losses_N = signal_losses(metric, scored)
    known_N = ~np.isnan(losses_N)
    if not known_N.any():
        return before

    def look(rival: int) -> Beside:
        of_rival = _scored(line, signal_version_of(line, rival), shown)
        means = [scores.score(metric) for scores in (scored, of_rival)]
        assert means[0] is not None and means[1] is not None, "some signals have a value"
        return Beside(losses_N[known_N], signal_losses(metric, of_rival)[known_N], means[0], means[1])

    return compare_with_rival(line, champion.number, before, look)
