"""The gate over signals: candidate and champion on sessions or elements that no training has seen. It fails closed.

Shapes: N held-out signals.
"""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from data.signal_config import SignalHoldout
from data.signals import Signals
from deployments.champion_checks import FORGETTING_POINTS, FORGETTING_SHARE, REGRESSION_POINTS, REGRESSION_SHARE
from deployments.corroboration import CORROBORATION
from deployments.gate_checks import check_proof, checks_of_the_file
from deployments.outcomes import Batch, Exported, Judged
from deployments.representation_pipeline import RepresentationGate
from deployments.signal_corroboration import check_signal_corroboration
from deployments.signal_evidence import SignalEvidence, bounds_of, known_score, weigh
from deployments.signal_learning import held_out_signals
from deployments.signal_line import SignalLine
from deployments.signal_versions import SignalVersion, represent_with, signal_champion_of, signal_version_of
from deployments.verdict import Check, Verdict, at_most, checked, closed, failed, margin
from monitoring.performance import LOWER_IS_BETTER, SignalMetric, gain
from monitoring.representation import SignalScores, chance


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
    try:
        evidence = replace(_evidence(line, batch, held_out, candidate, champion, exported.parity_error), wealth=wealth)
    except ValueError as error:  # an embedding or a position that is not finite
        return Judged(Verdict(False, (failed("scores", error),)), None, False, compared_with)
    verdict = judge(line.config.gate, evidence)
    metric, holds = line.config.metric, champion is not None and champion_holds(line.config.gate, evidence)
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
        checks[CORROBORATION] = lambda: check_signal_corroboration(config, evidence, champion)
        for name in evidence.candidate.values:
            if name != metric and evidence.candidate.score(name) is not None:
                checks[f"loss_{name}"] = lambda name=name: _clear_loss(config, name, evidence, champion)
        if config.appetite == "proof":
            checks["proof"] = lambda: check_proof(evidence.wealth)
    checks |= checks_of_the_file(config, evidence.latency_ms, evidence.size_mb, evidence.parity_error, asked="signal")
    made = tuple(closed(name, check) for name, check in checks.items())
    return Verdict(all(check.passed for check in made), made)


def _evidence(
    line: SignalLine,
    batch: Batch,
    held_out: Signals,
    candidate: SignalVersion,
    champion: SignalVersion | None,
    parity_error: float,
) -> SignalEvidence:
    versions = [candidate] if champion is None else [candidate, champion]
    made = [represent_with(version.model, held_out) for version in versions]
    # A request stands at the newest batch, which the champion may have learned from: its held-out signals judge.
    through = None if champion is None else min(champion.trained_through, batch.number - 1)
    return weigh(
        line.config.gate,
        held_out,
        made[0],
        None if champion is None else made[1],
        champion_through=through,
        learned=count_remembered(candidate.memory, held_out, line.config.data.holdout),
        latency_ms=candidate.model.latency_ms(held_out.longest()),
        size_mb=len(candidate.onnx) / 1e6,
        parity_error=parity_error,
        seed=line.config.training.seed,
    )


def count_remembered(memory: Signals, held_out: Signals, holdout: SignalHoldout) -> int:
    """Signals in the memory whose session, or element, is held out."""
    by_session = holdout.by == "session"
    kept, held = (
        [*zip(s.element_ids_N.tolist(), s.session_ids_N.tolist() if by_session else [""] * len(s), strict=True)]
        for s in (memory, held_out)
    )
    never = set(held)
    return sum(ids in never for ids in kept)


def _threshold(metric: SignalMetric, limit: float, evidence: SignalEvidence) -> Check:
    latest_N = evidence.latest_N(metric)
    value = known_score(evidence.candidate, metric, latest_N)
    passed = value <= limit if metric in LOWER_IS_BETTER else value >= limit
    text = f"{metric} on {int(latest_N.sum())} held-out signals; needed is"
    return checked(f"threshold_{metric}", value, limit, passed, text)


def _baseline(config: RepresentationGate, evidence: SignalEvidence) -> Check:
    metric = config.metric
    value, asked_N = known_score(evidence.candidate, metric), np.ones(len(evidence.signals), np.bool_)
    limit = chance(metric, evidence.signals, asked_N, config.within)
    if limit is None:
        raise ValueError(f"no held-out signal has a {metric}")
    what = "a keypoint always at its median" if metric.startswith("keypoint") else "a neighbour drawn at random"
    text = f"{metric} on {len(evidence.signals)} held-out signals; it must beat {what}, which has"
    return checked("baseline", value, limit, gain(metric, value, limit) > 0, text)


def _not_worse(metric: SignalMetric, evidence: SignalEvidence, champion: SignalScores) -> Check:
    value = gain(metric, known_score(evidence.candidate, metric), known_score(champion, metric))
    text = f"gain in {metric} over the champion on all {len(evidence.signals)} held-out signals; at least"
    return checked("not_worse", value, 0.0, value >= 0, text)


def _regression(config: RepresentationGate, evidence: SignalEvidence, champion: SignalScores) -> Check:
    limit = margin(config.max_regression, config.metric, REGRESSION_POINTS, REGRESSION_SHARE)
    value, _ = bounds_of(config, config.metric, evidence, evidence.candidate, champion)
    text = f"gain in {config.metric} over the champion that is exceeded with {config.confidence:.0%} confidence"
    return checked("regression", value, -limit, value >= -limit, f"{text}; at least")


def _forgetting(config: RepresentationGate, evidence: SignalEvidence, champion: SignalScores) -> Check:
    """The loss on signals of batches before the newest; all may be found as neighbours."""
    metric, batches_N = config.metric, evidence.signals.batches_N
    earlier_N = batches_N < batches_N.max()
    if not earlier_N.any():
        raise ValueError("no held-out signals are kept from earlier batches")
    new, old = (known_score(scores, metric, earlier_N) for scores in (evidence.candidate, champion))
    value, limit = -gain(metric, new, old), margin(config.max_forgetting, metric, FORGETTING_POINTS, FORGETTING_SHARE)
    text = f"loss in {metric} against the champion on {int(earlier_N.sum())} held-out signals of earlier batches"
    return checked("forgetting", value, limit, value <= limit, f"{text}; at most")


def _clear_loss(
    config: RepresentationGate, metric: SignalMetric, evidence: SignalEvidence, champion: SignalScores
) -> Check:
    """A loss on another metric counts where it is clear: what is gained at most, with confidence, is a loss."""
    limit = margin(config.max_regression, metric, REGRESSION_POINTS, REGRESSION_SHARE)
    _, value = bounds_of(config, metric, evidence, evidence.candidate, champion)
    text = f"gain in {metric} over the champion that is not exceeded with {config.confidence:.0%} confidence; at least"
    return checked(f"loss_{metric}", value, -limit, value >= -limit, text)


def champion_holds(config: RepresentationGate, evidence: SignalEvidence) -> bool:
    """Whether the champion itself would still pass the thresholds on the new hold-outs."""
    assert evidence.champion is not None, "the caller asked"
    of_champion = replace(evidence, candidate=evidence.champion)
    metric_known = evidence.champion.score(config.metric, evidence.latest_N(config.metric)) is not None
    limits = config.thresholds.items()
    return metric_known and all(
        closed(m, lambda m=m, limit=limit: _threshold(m, limit, of_champion)).passed for m, limit in limits
    )
