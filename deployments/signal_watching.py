"""The champion on a new batch of signals, and the batch's elements against the champion's reference.

Shapes: N signals.
"""

import numpy as np

from data.signals import join_signals
from deployments.outcomes import WATCHED, Batch, Watched
from deployments.signal_learning import held_out_signals, stored_signals
from deployments.signal_line import SignalLine
from deployments.signal_versions import SignalVersion, represent_with, signal_champion_of
from monitoring.clusters import ClusterState, check_clusters
from monitoring.representation import score_signals


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
    before = _state_before(line, batch, champion)
    seed = line.config.training.seed + batch.number
    drift, after = check_clusters(champion.reference, before, found.embeddings_NE, new, line.config.drift, seed)
    scores = _scores(line, batch, champion)
    return Watched(champion.number, scores, None, drift, (), None, detector=after.to_json())


def _scores(line: SignalLine, batch: Batch, champion: SignalVersion) -> dict[str, float] | None:
    new = stored_signals(line, range(batch.number, batch.number + 1), "train")
    parts = [part for part in (held_out_signals(line, batch.number), new) if part is not None]
    signals, held_out = join_signals(parts), np.zeros(sum(map(len, parts)), np.bool_)
    held_out[: len(signals) - (0 if new is None else len(new))] = True
    represented, gate = represent_with(champion.model, signals), line.config.gate
    asked_N = signals.batches_N == batch.number
    found = score_signals(
        represented.embeddings_NE, represented.positions, signals, gate.within, asked_N, held_out, gate.judges
    ).scores()
    return found if line.config.metric in found else None


def _state_before(line: SignalLine, batch: Batch, champion: SignalVersion) -> ClusterState | None:
    """What the latest batch left of the evidence, if it had the same champion."""
    outcome = line.ledger.latest_outcome(line.name, "watch", batch.number)
    before = None if outcome is None else WATCHED.validate_python(outcome)
    if before is None or before.champion != champion.number or before.detector is None:
        return None
    return ClusterState.from_json(before.detector)
