"""What the gate over signals knows: candidate and champion on what no training has seen.

Shapes: N held-out signals.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple, TypedDict, Unpack

import numpy as np
from numpy.typing import NDArray

from data.signals import Signals
from deployments.representation_pipeline import RepresentationGate
from learning.representation import Represented
from monitoring.performance import SignalMetric
from monitoring.representation import SignalScores, gain_bounds, score_signals

ENOUGH_SIGNALS = 20


class Both(NamedTuple):
    """What a candidate and the champion score on the same signals."""

    candidate: SignalScores
    champion: SignalScores


@dataclass(frozen=True)
class SignalEvidence:
    """What the gate knows.

    champion: None where there is none; champion_through: the last batch that it learned from. without: of each newer
    batch what both score on all other signals, among which alone neighbours are looked for.
    learned: how many of the candidate's remembered signals are of a session (or element) that is held out. wealth: what
    a stake of 1 on the candidate has become in the shadow.
    """

    signals: Signals
    candidate: SignalScores
    champion: SignalScores | None
    champion_through: int | None
    without: Mapping[int, Both]
    learned: int
    latency_ms: float
    size_mb: float
    parity_error: float
    seed: int
    wealth: float = 0.0

    def latest_N(self, metric: SignalMetric) -> NDArray[np.bool_]:
        """Signals of the newest batches in which `ENOUGH_SIGNALS` have a value of the metric.

        A small batch may hold out no session at all, or nobody may have annotated it.
        """
        known_N = ~np.isnan(self.candidate.values[metric]).all(1)
        latest_N, batches_N = np.zeros(len(self.signals), np.bool_), self.signals.batches_N
        for batch in np.unique(batches_N)[::-1]:
            if (latest_N & known_N).sum() >= ENOUGH_SIGNALS:
                break
            latest_N |= batches_N == batch
        return latest_N & known_N


class _Facts(TypedDict):
    """What is known of a candidate beside its scores."""

    learned: int
    latency_ms: float
    size_mb: float
    parity_error: float
    seed: int


def weigh(
    gate: RepresentationGate,
    signals: Signals,
    candidate: Represented,
    champion: Represented | None,
    champion_through: int | None,
    **facts: Unpack[_Facts],
) -> SignalEvidence:
    """The evidence from what both make of the held-out signals; raises ValueError for what is not finite."""
    of_candidate = scores_of(gate, signals, candidate)
    if champion is None:
        return SignalEvidence(signals, of_candidate, None, None, {}, **facts)
    through = -1 if champion_through is None else champion_through
    batches = np.unique(signals.batches_N).tolist()
    new = [batch for batch in batches if batch > through] or batches[-1:]
    without = {
        batch: Both(*(scores_of(gate, signals, made, signals.batches_N != batch) for made in (candidate, champion)))
        for batch in new
    }
    return SignalEvidence(signals, of_candidate, scores_of(gate, signals, champion), champion_through, without, **facts)


def scores_of(
    gate: RepresentationGate, signals: Signals, made: Represented, among_N: NDArray[np.bool_] | None = None
) -> SignalScores:
    """Every metric as the gate has it, on all signals or among some of them alone."""
    return score_signals(made.embeddings_NE, made.positions, signals, gate.within, among_N, among_N, judges=gate.judges)


def known_score(scores: SignalScores, metric: SignalMetric, chosen_N: NDArray[np.bool_] | None = None) -> float:
    """A score; raises ValueError, saying what it needs, where no signal has one."""
    found = scores.score(metric, chosen_N)
    if found is None:
        raise ValueError(
            f"no held-out signal has a {metric}: keypoints must be annotated, elements held out in two sessions"
        )
    return found


def bounds_of(
    gate: RepresentationGate,
    metric: SignalMetric,
    evidence: SignalEvidence,
    candidate: SignalScores,
    champion: SignalScores,
    chosen_N: NDArray[np.bool_] | None = None,
) -> tuple[float, float]:
    """The gains over the champion that are exceeded, and not exceeded, with the pipeline's confidence.

    chosen_N: on some signals alone. Raises ValueError as `gain_bounds` does.
    """
    signals = evidence.signals
    units_N = signals.sessions_N if gate.resample == "session" else signals.elements_N
    if chosen_N is not None:
        units_N = units_N[chosen_N]
        candidate, champion = (
            SignalScores({metric: scores.values[metric][chosen_N]}) for scores in (candidate, champion)
        )
    return gain_bounds(
        metric, candidate, champion, units_N, confidence=gate.confidence, resamples=gate.resamples, seed=evidence.seed
    )
