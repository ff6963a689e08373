"""The gate over signals: candidate and champion on sessions or elements that no training has seen. It fails closed.

Shapes: N held-out signals.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from data.signals import Signals
from deployments.champion_checks import FORGETTING_POINTS, FORGETTING_SHARE, REGRESSION_POINTS, REGRESSION_SHARE
from deployments.gate_checks import check_proof, checks_of_the_file
from deployments.outcomes import Batch, Exported, Judged
from deployments.representation_pipeline import RepresentationGate
from deployments.signal_export import SignalModel
from deployments.signal_learning import held_out_signals
from deployments.signal_line import SignalLine
from deployments.signal_versions import SignalVersion, represent_with, signal_champion_of, signal_version_of
from deployments.verdict import Check, Verdict, at_most, checked, closed, margin
from monitoring.performance import LOWER_IS_BETTER, SignalMetric, gain
from monitoring.representation import SignalScores, chance, gain_bounds, score_signals

ENOUGH_SIGNALS = 20


@dataclass(frozen=True)
class SignalEvidence:
    """What the gate knows.

    learned: how many of the candidate's remembered signals are of a session (or element) that is held out. wealth: what
    a stake of 1 on the candidate has become in the shadow.
    """

    signals: Signals
    candidate: SignalScores
    champion: SignalScores | None
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


def judge_signals(line: SignalLine, batch: Batch, exported: Exported, wealth: float = 0.0) -> Judged:
    """Hold a version against the champion on the held-out signals of all batches up to this one.

    wealth: what the version has shown in the shadow, if it was there.
    """
    candidate, champion = signal_version_of(line, exported.version), signal_champion_of(line)
    compared_with = None if champion is None else champion.number
    held_out = held_out_signals(line, batch.number)
    if held_out is None:
        by = line.config.data.holdout.by
        text = f"no {by} was held out of {batch.number} batches, so nothing can be judged; raise data.holdout.share"
        return Judged(Verdict(False, (Check("held_out", None, None, False, text),)), None, False, compared_with)
    evidence = replace(_evidence(line, held_out, candidate, champion, exported.parity_error), wealth=wealth)
    verdict = judge(line.config.gate, evidence)
    metric, holds = line.config.metric, champion is not None and _holds(line.config.gate, evidence)
    return Judged(verdict, evidence.candidate.score(metric, evidence.latest_N(metric)), holds, compared_with)


def judge(config: RepresentationGate, evidence: SignalEvidence) -> Verdict:
    """Every check; one that cannot be made fails with its reason."""
    metric = config.metric
    checks: dict[str, Callable[[], Check]] = {}
    for name, limit in config.thresholds.items():
        checks[f"threshold_{name}"] = lambda name=name, limit=limit: _threshold(name, limit, evidence)
    if config.baseline == "chance":
        checks["baseline"] = lambda: _baseline(config, evidence)
    checks["holdouts_unseen"] = lambda: at_most(
        "holdouts_unseen", float(evidence.learned), 0.0, "remembered signals of what is held out"
    )
    if evidence.champion is not None:
        champion = evidence.champion
        checks["not_worse"] = lambda: _not_worse(metric, evidence, champion)
        checks["regression"] = lambda: _regression(config, evidence, champion)
        checks["forgetting"] = lambda: _forgetting(config, evidence, champion)
        for name in evidence.candidate.values:
            if name != metric and evidence.candidate.score(name) is not None:
                checks[f"loss_{name}"] = lambda name=name: _clear_loss(config, name, evidence, champion)
        if config.appetite == "proof":
            checks["proof"] = lambda: check_proof(evidence.wealth)
    checks |= checks_of_the_file(config, evidence.latency_ms, evidence.size_mb, evidence.parity_error, asked="signal")
    made = tuple(closed(name, check) for name, check in checks.items())
    return Verdict(all(check.passed for check in made), made)


def _evidence(
    line: SignalLine, held_out: Signals, candidate: SignalVersion, champion: SignalVersion | None, parity_error: float
) -> SignalEvidence:
    gate = line.config.gate

    def scores(model: SignalModel) -> SignalScores:
        found = represent_with(model, held_out)
        return score_signals(found.embeddings_NE, found.positions, held_out, gate.within, judges=gate.judges)

    return SignalEvidence(
        held_out,
        scores(candidate.model),
        None if champion is None else scores(champion.model),
        _remembered(line, candidate.memory, held_out),
        candidate.model.latency_ms(held_out.longest()),
        len(candidate.onnx) / 1e6,
        parity_error,
        line.config.training.seed,
    )


def _remembered(line: SignalLine, memory: Signals, held_out: Signals) -> int:
    """Signals in the memory whose session, or element, is held out."""
    by_session = line.config.data.holdout.by == "session"
    kept, held = (
        [*zip(s.element_ids_N.tolist(), s.session_ids_N.tolist() if by_session else [""] * len(s), strict=True)]
        for s in (memory, held_out)
    )
    never = set(held)
    return sum(ids in never for ids in kept)


def _threshold(metric: SignalMetric, limit: float, evidence: SignalEvidence) -> Check:
    latest_N = evidence.latest_N(metric)
    value = _known(evidence.candidate, metric, latest_N)
    passed = value <= limit if metric in LOWER_IS_BETTER else value >= limit
    text = f"{metric} on {int(latest_N.sum())} held-out signals; needed is"
    return checked(f"threshold_{metric}", value, limit, passed, text)


def _baseline(config: RepresentationGate, evidence: SignalEvidence) -> Check:
    metric = config.metric
    value, asked_N = _known(evidence.candidate, metric), np.ones(len(evidence.signals), np.bool_)
    limit = chance(metric, evidence.signals, asked_N, config.within)
    if limit is None:
        raise ValueError(f"no held-out signal has a {metric}")
    what = "a keypoint always at its median" if metric.startswith("keypoint") else "a neighbour drawn at random"
    text = f"{metric} on {len(evidence.signals)} held-out signals; it must beat {what}, which has"
    return checked("baseline", value, limit, gain(metric, value, limit) > 0, text)


def _not_worse(metric: SignalMetric, evidence: SignalEvidence, champion: SignalScores) -> Check:
    value = gain(metric, _known(evidence.candidate, metric), _known(champion, metric))
    text = f"gain in {metric} over the champion on all {len(evidence.signals)} held-out signals; at least"
    return checked("not_worse", value, 0.0, value >= 0, text)


def _regression(config: RepresentationGate, evidence: SignalEvidence, champion: SignalScores) -> Check:
    limit = margin(config.max_regression, config.metric, REGRESSION_POINTS, REGRESSION_SHARE)
    value, _ = _bounds(config, config.metric, evidence, champion)
    text = f"gain in {config.metric} over the champion that is exceeded with {config.confidence:.0%} confidence"
    return checked("regression", value, -limit, value >= -limit, f"{text}; at least")


def _forgetting(config: RepresentationGate, evidence: SignalEvidence, champion: SignalScores) -> Check:
    """The loss on signals of batches before the newest; all may be found as neighbours."""
    metric, batches_N = config.metric, evidence.signals.batches_N
    earlier_N = batches_N < batches_N.max()
    if not earlier_N.any():
        raise ValueError("no held-out signals are kept from earlier batches")
    new, old = (_known(scores, metric, earlier_N) for scores in (evidence.candidate, champion))
    value, limit = -gain(metric, new, old), margin(config.max_forgetting, metric, FORGETTING_POINTS, FORGETTING_SHARE)
    text = f"loss in {metric} against the champion on {int(earlier_N.sum())} held-out signals of earlier batches"
    return checked("forgetting", value, limit, value <= limit, f"{text}; at most")


def _clear_loss(
    config: RepresentationGate, metric: SignalMetric, evidence: SignalEvidence, champion: SignalScores
) -> Check:
    """A loss on another metric counts where it is clear: what is gained at most, with confidence, is a loss."""
    limit = margin(config.max_regression, metric, REGRESSION_POINTS, REGRESSION_SHARE)
    _, value = _bounds(config, metric, evidence, champion)
    text = f"gain in {metric} over the champion that is not exceeded with {config.confidence:.0%} confidence; at least"
    return checked(f"loss_{metric}", value, -limit, value >= -limit, text)


def _bounds(
    config: RepresentationGate, metric: SignalMetric, evidence: SignalEvidence, champion: SignalScores
) -> tuple[float, float]:
    signals = evidence.signals
    units_N = signals.sessions_N if config.resample == "session" else signals.elements_N
    return gain_bounds(
        metric,
        evidence.candidate,
        champion,
        units_N,
        confidence=config.confidence,
        resamples=config.resamples,
        seed=evidence.seed,
    )


def _holds(config: RepresentationGate, evidence: SignalEvidence) -> bool:
    """Whether the champion itself would still pass the thresholds on the new hold-outs."""
    assert evidence.champion is not None, "the caller asked"
    of_champion = replace(evidence, candidate=evidence.champion)
    metric_known = evidence.champion.score(config.metric, evidence.latest_N(config.metric)) is not None
    limits = config.thresholds.items()
    return metric_known and all(
        closed(m, lambda m=m, limit=limit: _threshold(m, limit, of_champion)).passed for m, limit in limits
    )


def _known(scores: SignalScores, metric: SignalMetric, chosen_N: NDArray[np.bool_] | None = None) -> float:
    found = scores.score(metric, chosen_N)
    if found is None:
        raise ValueError(
            f"no held-out signal has a {metric}: keypoints must be annotated, elements held out in two sessions"
        )
    return found
