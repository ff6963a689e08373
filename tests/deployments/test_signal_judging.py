from dataclasses import replace

import numpy as np
import pytest

from data.signals import Signals, make_signals
from deployments.representation_pipeline import RepresentationGate
from deployments.signal_judging import SignalEvidence, judge
from monitoring.performance import SignalMetric
from monitoring.representation import SignalScores, score_signals

ELEMENTS, SESSIONS, EACH = 6, 4, 4


def held_out(seed: int = 0) -> Signals:
    rng = np.random.default_rng(seed)
    ids = [(f"e{e}", f"{s}") for e in range(ELEMENTS) for s in range(SESSIONS) for _ in range(EACH)]
    values, top = [np.zeros((1, 50))] * len(ids), rng.uniform(10, 40, len(ids))
    signals = make_signals(values, [e for e, _ in ids], [s for _, s in ids], {"top": top})
    return replace(signals, batches_N=1 + (np.arange(len(ids)) // EACH % SESSIONS) // 2)


def scores(signals: Signals, scatter: float, error: float, seed: int, within: float = 5.0) -> SignalScores:
    """Of a network whose embeddings scatter so far around their element, and whose keypoints are so far off."""
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(99).standard_normal((ELEMENTS, 6))
    embeddings = centres[signals.elements_N] + scatter * rng.standard_normal((len(signals), 6))
    positions = {"top": signals.keypoints["top"] + error * rng.standard_normal(len(signals)).astype(np.float32)}
    return score_signals(embeddings.astype(np.float32), positions, signals, within)


def evidence(candidate: SignalScores, champion: SignalScores | None, signals: Signals) -> SignalEvidence:
    return SignalEvidence(signals, candidate, champion, 0, 1.0, 1.0, 1e-6, 0)


KEYPOINT_METRICS: tuple[SignalMetric, ...] = ("keypoint_mae", "keypoint_median", "keypoint_p90", "keypoint_within")
GATE = RepresentationGate(thresholds={"element_recall_at_1": 0.5, "keypoint_mae": 5}, resamples=200)


def failed(gate: RepresentationGate, given: SignalEvidence) -> set[str]:
    verdict = judge(gate, given)
    assert verdict.passed == all(check.passed for check in verdict.checks)
    return {check.name for check in verdict.checks if not check.passed}


@pytest.mark.parametrize("seed", range(5))
def test_a_good_first_candidate_passes_and_a_collapsed_one_does_not(seed: int) -> None:
    signals = held_out(seed)
    assert failed(GATE, evidence(scores(signals, 0.3, 1, seed), None, signals)) == set()
    collapsed = score_signals(np.ones((len(signals), 6), np.float32), signals.keypoints, signals, 5)
    assert failed(GATE, evidence(collapsed, None, signals)) == {"threshold_element_recall_at_1", "baseline"}


@pytest.mark.parametrize("seed", range(5))
def test_a_worse_candidate_is_refused_and_a_better_one_passes(seed: int) -> None:
    signals = held_out(seed)
    good, bad = scores(signals, 0.4, 1, seed), scores(signals, 1.2, 1, seed + 100)
    refused = failed(GATE, evidence(bad, good, signals))
    assert {"not_worse", "regression", "forgetting"} <= refused
    assert failed(GATE, evidence(good, bad, signals)) == set()
    assert failed(GATE, evidence(good, good, signals)) == set()


@pytest.mark.parametrize("seed", range(5))
def test_a_clear_loss_on_another_metric_refuses(seed: int) -> None:
    signals = held_out(seed)
    before, blurred = scores(signals, 0.4, 1, seed), scores(signals, 0.4, 3, seed)
    assert failed(GATE, evidence(blurred, before, signals)) <= {f"loss_{metric}" for metric in KEYPOINT_METRICS}
    assert "loss_keypoint_mae" in failed(GATE, evidence(blurred, before, signals))


def test_what_cannot_be_checked_fails() -> None:
    signals = held_out()
    sound = evidence(scores(signals, 0.3, 1, 0), scores(signals, 0.3, 1, 0), signals)
    assert failed(GATE, replace(sound, learned=2)) == {"holdouts_unseen"}
    assert failed(GATE, replace(sound, parity_error=float("nan"))) == {"parity"}
    assert failed(GATE, replace(sound, latency_ms=60.0, size_mb=1e6)) == {"latency", "size"}
    one_batch = replace(sound, signals=signals.of_batch(2))
    assert failed(GATE, one_batch) == {"forgetting"}
    nobody = SignalScores({m: np.full_like(v, np.nan) for m, v in sound.candidate.values.items()})
    assert {"baseline", "not_worse", "regression"} <= failed(GATE, replace(sound, candidate=nobody))


def test_elements_may_be_what_is_drawn_again() -> None:
    signals = held_out()
    both = evidence(scores(signals, 0.4, 1, 0), scores(signals, 0.6, 1, 1), signals)
    by_session, by_element = (
        judge(GATE.model_copy(update={"resample": unit}), both).checks for unit in ("session", "element")
    )
    values = [{c.name: c.value for c in checks}["regression"] for checks in (by_session, by_element)]
    assert values[0] != values[1]


def test_thresholds_look_back_to_signals_that_somebody_annotated() -> None:
    signals = held_out()
    told = dict(scores(signals, 0.3, 1, 0).values)
    for metric in KEYPOINT_METRICS:
        told[metric] = np.where(signals.batches_N[:, None] == 1, told[metric], np.nan)
    found = evidence(SignalScores(told), None, signals)
    assert failed(GATE, found) == set()
    texts = {check.name: check.text for check in judge(GATE, found).checks}
    assert f"on {int((signals.batches_N == 1).sum())} held-out signals" in texts["threshold_keypoint_mae"]
    assert f"on {int((signals.batches_N == 2).sum())} held-out" in texts["threshold_element_recall_at_1"]


def test_with_the_appetite_proof_a_candidate_shows_it_in_the_shadow_first() -> None:
    signals = held_out()
    good, proof = scores(signals, 0.3, 1, 0), GATE.model_copy(update={"appetite": "proof"})
    beside = evidence(good, good, signals)
    assert failed(proof, beside) == {"proof"}
    assert failed(proof, replace(beside, wealth=25.0)) == set()
    assert failed(proof, evidence(good, None, signals)) == set(), "the first has nobody to prove it against"
