"""A candidate and the champion over signals, for the rule that one batch alone changes no meaning.

Shapes: N held-out signals.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from deployments.champion_checks import FORGETTING_POINTS, FORGETTING_SHARE, REGRESSION_POINTS, REGRESSION_SHARE
from deployments.corroboration import CORROBORATION, Corroborated, corroborate
from deployments.representation_pipeline import RepresentationGate
from deployments.signal_evidence import SignalEvidence, bounds_of, known_score
from deployments.verdict import Check, checked, margin
from monitoring.performance import SignalMetric, gain
from monitoring.representation import SignalScores


def check_signal_corroboration(config: RepresentationGate, evidence: SignalEvidence, champion: SignalScores) -> Check:
    """The loss on everything but one new batch, in the metric that decides and in one of each head."""
    if evidence.champion_through is None:
        raise ValueError("through which batch the champion learned is not known")
    found = {metric: _corroborated(config, metric, evidence, champion) for metric in _asked(config, evidence)}
    worst = max(found, key=lambda metric: (not found[metric].passed, found[metric].value - found[metric].limit))
    told = found[worst]
    text = (
        f"loss in {worst} against the champion on all held-out signals but one new batch's; one batch may be wrong: "
        f"more waits for a second that bears it out; at most"
    )
    return checked(CORROBORATION, told.value, told.limit, told.passed, text)


def _asked(config: RepresentationGate, evidence: SignalEvidence) -> list[SignalMetric]:
    """The metric that decides and one of each head: a batch may be wrong in its ids, or in its keypoints alone."""
    asked: list[SignalMetric] = [config.metric, "element_recall_at_1", "keypoint_mae"]
    return [metric for metric in dict.fromkeys(asked) if evidence.candidate.score(metric) is not None]


def _corroborated(
    config: RepresentationGate, metric: SignalMetric, evidence: SignalEvidence, champion: SignalScores
) -> Corroborated:
    assert evidence.champion_through is not None, "the caller asked"
    forgetting = margin(config.max_forgetting, metric, FORGETTING_POINTS, FORGETTING_SHARE)
    regression = margin(config.max_regression, metric, REGRESSION_POINTS, REGRESSION_SHARE)
    return corroborate(_Signals(config, metric, evidence, champion), evidence.champion_through, forgetting, regression)


@dataclass(frozen=True)
class _Signals:
    """Candidate and champion by a metric, as `Compared` has it; batches: those in which a signal has a value."""

    config: RepresentationGate
    metric: SignalMetric
    evidence: SignalEvidence
    champion: SignalScores

    @property
    def batches(self) -> list[int]:
        known_N = ~np.isnan(self.evidence.candidate.values[self.metric]).all(1)
        return np.unique(self.evidence.signals.batches_N[known_N]).tolist()

    def loss_without(self, batch: int) -> float:
        both = self.evidence.without.get(batch)
        if both is not None:
            return -self._gain(*both)
        # an old one, where nothing new has a value
        return -self._gain(self.evidence.candidate, self.champion, self.evidence.signals.batches_N != batch)

    def gain_on(self, batch: int) -> float:
        return self._gain(self.evidence.candidate, self.champion, self.evidence.signals.batches_N == batch)

    def gains_surely_on(self, batches: Sequence[int]) -> bool:
        try:
            chosen_N = np.isin(self.evidence.signals.batches_N, batches)
            both = (self.evidence.candidate, self.champion)
            return bounds_of(self.config, self.metric, self.evidence, *both, chosen_N)[0] > 0
        except ValueError:  # too few sessions to tell
            return False

    def champion_lead(self, batch: int, other: int) -> float:
        on = (known_score(self.champion, self.metric, self.evidence.signals.batches_N == b) for b in (batch, other))
        return gain(self.metric, *on)

    def _gain(
        self, candidate: SignalScores, champion: SignalScores, chosen_N: NDArray[np.bool_] | None = None
    ) -> float:
        return gain(self.metric, *(known_score(scores, self.metric, chosen_N) for scores in (candidate, champion)))
