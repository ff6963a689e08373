from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from data.signals import Signals, make_signals
from deployments.representation_pipeline import RepresentationGate
from deployments.signal_evidence import Both, SignalEvidence
from deployments.signal_judging import judge
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
    return newest_is_new(SignalEvidence(signals, candidate, champion, None, {}, 0, 1.0, 1.0, 1e-6, 0), 1)


def newest_is_new(given: SignalEvidence, batches: int) -> SignalEvidence:
    """The champion has not learned from so many of the newest batches."""
    numbers_N, newest = given.signals.batches_N, int(given.signals.batches_N.max())
    if given.champion is None:
        return given
    both, new = (given.candidate, given.champion), range(newest - batches + 1, newest + 1)
    without = {batch: Both(*(among(scores, numbers_N != batch) for scores in both)) for batch in new}
    return replace(given, champion_through=newest - batches, without=without)


def among(scores: SignalScores, chosen_N: NDArray[np.bool_]) -> SignalScores:
    return SignalScores({m: np.where(chosen_N[:, None], values, np.nan) for m, values in scores.values.items()})


def mixed(old_N: NDArray[np.bool_], old: SignalScores, new: SignalScores) -> SignalScores:
    """Of a version that does as well as one network on old signals, as another on the rest."""
    return SignalScores({m: np.where(old_N[:, None], old.values[m], new.values[m]) for m in old.values})


def with_keypoints(scores: SignalScores, keypoints: dict[SignalMetric, NDArray[np.float64]]) -> SignalScores:
    return SignalScores({m: keypoints.get(m, values) for m, values in scores.values.items()})


def keypoints_of(scores: SignalScores) -> dict[SignalMetric, NDArray[np.float64]]:
    return {name: scores.values[name] for name in KEYPOINT_METRICS}


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
    """Keypoints are the same: of two networks that err apart, one is clearly better by chance for a seed in ten."""
    signals = held_out(seed)
    good, bad = scores(signals, 0.4, 1, seed), scores(signals, 1.2, 1, seed + 100)
    bad = with_keypoints(bad, keypoints_of(good))
    refused = failed(GATE, evidence(bad, good, signals))
    assert {"not_worse", "regression", "forgetting"} <= refused
    assert failed(GATE, evidence(good, bad, signals)) == set()
    assert failed(GATE, evidence(good, good, signals)) == set()


@pytest.mark.parametrize("seed", range(5))
def test_a_clear_loss_on_another_metric_refuses(seed: int) -> None:
    signals = held_out(seed)
    before, blurred = scores(signals, 0.4, 1, seed), scores(signals, 0.4, 3, seed)
    allowed = {"corroboration", *(f"loss_{metric}" for metric in KEYPOINT_METRICS)}
    assert failed(GATE, evidence(blurred, before, signals)) <= allowed
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


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(("scatter", "error"), [(0.4, 1.5), (0.7, 1.0)])
def test_one_wrong_batch_carries_neither_keypoints_nor_ids(seed: int, scatter: float, error: float) -> None:
    """What it gains there is far more than what it loses on each other."""
    signals = in_four_batches(seed)
    old_N = signals.batches_N < 4
    sound, worse, lost = (scores(signals, *of, seed) for of in ((0.4, 1.0), (scatter, error), (2.0, 30.0)))
    champion, candidate = mixed(old_N, sound, lost), mixed(old_N, worse, sound)
    assert "corroboration" in failed(GATE, evidence(candidate, champion, signals))


@pytest.mark.parametrize("seed", range(5))
def test_what_a_second_batch_bears_out_may_cost_old_ones(seed: int) -> None:
    signals = in_four_batches(seed)
    old_N = signals.batches_N < 3
    sound, worse, lost = (scores(signals, 0.4, error, seed) for error in (1.0, 1.2, 8.0))
    found = evidence(mixed(old_N, worse, sound), mixed(old_N, sound, lost), signals)
    assert "corroboration" not in failed(GATE, newest_is_new(found, 2))
    third_alone = signals.batches_N != 4
    alone = evidence(mixed(third_alone, worse, sound), mixed(third_alone, sound, lost), signals)
    assert "corroboration" in failed(GATE, newest_is_new(alone, 2))


def test_a_new_batch_that_nobody_annotated_says_nothing_of_keypoints() -> None:
    signals = in_four_batches(0)
    told, new_N = scores(signals, 0.4, 1, 0), signals.batches_N == 4
    hidden = among(told, ~new_N)
    same = with_keypoints(told, keypoints_of(hidden))
    assert failed(GATE, evidence(same, same, signals)) == set()
    assert failed(GATE, replace(evidence(same, same, signals), champion_through=None)) == {"corroboration"}


def in_four_batches(seed: int) -> Signals:
    signals = held_out(seed)
    return replace(signals, batches_N=1 + np.arange(len(signals)) // EACH % SESSIONS)
