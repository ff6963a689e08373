from dataclasses import replace

import numpy as np
import pytest

from deployments.gate import judge
from deployments.pipeline import GateConfig
from deployments.verdict import Judged

ROWS, CLASSES, BATCHES = 600, 3, 6
CONFIG = GateConfig(threshold=0.5)
ROWWISE = ("targets_B", "batches_B", "before_B", "readings_BC", "groups_B", "candidate", "champion")


def guesses(targets_B: np.ndarray, accuracy: float, rng: np.random.Generator) -> np.ndarray:
    """Probabilities whose largest is right for about this share of rows."""
    wrong_B = (targets_B + rng.integers(1, CLASSES, len(targets_B))) % CLASSES
    chosen_B = np.where(rng.random(len(targets_B)) < accuracy, targets_B, wrong_B)
    return (0.8 * np.eye(CLASSES)[chosen_B] + 0.2 / CLASSES).astype(np.float32)


def evidence(candidate: float, champion: float | None, seed: int = 0) -> Judged:
    rng = np.random.default_rng(seed)
    targets_B = rng.integers(0, CLASSES, ROWS)
    return Judged(
        targets_B=targets_B,
        batches_B=np.repeat(np.arange(1, BATCHES + 1), ROWS // BATCHES),
        relevance_B=np.ones(ROWS),
        before_B=None if champion is None else np.ones(ROWS),
        readings_BC=rng.standard_normal((ROWS, 2)).astype(np.float32),
        features=("a", "b"),
        groups_B=np.array(["x", "y"])[rng.integers(0, 2, ROWS)],
        group="line",
        classes=("one", "two", "three"),
        previous_B=None,
        candidate=guesses(targets_B, candidate, rng),
        champion=None if champion is None else guesses(targets_B, champion, rng),
        champion_through=None if champion is None else BATCHES - 1,
        trained_T=targets_B,
        holdouts_learned=0,
        latency_ms=0.1,
        size_mb=0.1,
        parity_error=1e-7,
        seed=seed,
    )


def failed(judged: Judged, config: GateConfig = CONFIG) -> set[str]:
    return {check.name for check in judge(config, "accuracy", judged).checks if not check.passed}


def old_and_new(old: float, new: float) -> Judged:
    found = evidence(0.8, 0.8)
    rng = np.random.default_rng(1)
    mixed = guesses(found.targets_B, old, rng)
    newest = found.batches_B == BATCHES
    mixed[newest] = guesses(found.targets_B, new, rng)[newest]
    return replace(found, candidate=mixed)


def with_nan() -> Judged:
    found = evidence(0.95, 0.8)
    assert found.candidate is not None
    broken = found.candidate.copy()
    broken[3, 0] = np.nan
    return replace(found, candidate=broken)


@pytest.mark.parametrize(
    ("judged", "check"),
    [
        (evidence(0.7, 0.8), "not_worse"),
        (evidence(0.3, None), "threshold"),
        (replace(evidence(0.95, 0.8), holdouts_learned=None), "holdouts_unseen"),
        (replace(evidence(0.95, 0.8), holdouts_learned=1), "holdouts_unseen"),
        (replace(evidence(0.95, 0.8), size_mb=None), "size"),
        (replace(evidence(0.95, 0.8), size_mb=101.0), "size"),
        (old_and_new(old=0.5, new=1.0), "forgetting"),
        (with_nan(), "not_worse"),
        (replace(evidence(0.95, 0.8), candidate=None), "threshold"),
        (replace(evidence(0.95, 0.8), champion=None), "not_worse"),
        (replace(evidence(0.95, 0.8), latency_ms=None), "latency"),
        (replace(evidence(0.95, 0.8), latency_ms=9.0), "latency"),
        (replace(evidence(0.95, 0.8), parity_error=float("inf")), "parity"),
        (replace(evidence(0.95, 0.8), parity_error=float("nan")), "parity"),
        (replace(evidence(0.95, 0.8), parity_error=0.01), "parity"),
    ],
)
def test_a_bad_candidate_is_refused_for_its_reason(judged: Judged, check: str) -> None:
    assert check in failed(judged)


def test_an_empty_hold_out_never_promotes() -> None:
    full = evidence(0.95, 0.8)
    empty = replace(
        full,
        targets_B=full.targets_B[:0],
        batches_B=full.batches_B[:0],
        relevance_B=full.relevance_B[:0],
        readings_BC=full.readings_BC[:0],
        groups_B=None,
        candidate=np.empty((0, CLASSES), np.float32),
        champion=np.empty((0, CLASSES), np.float32),
    )
    assert {
        "threshold",
        "baseline",
        "copies",
        "not_worse",
        "regression",
        "forgetting",
        "calibration",
    } <= failed(empty)


def test_a_constant_candidate_is_not_better_than_the_trivial_predictor() -> None:
    found = evidence(0.8, None)
    constant = np.tile(np.array([0.4, 0.3, 0.3], np.float32), (ROWS, 1))
    assert "baseline" in failed(replace(found, candidate=constant), GateConfig())
    assert failed(found, GateConfig()) == set()


def test_a_first_champion_needs_no_rival() -> None:
    assert failed(evidence(0.8, None)) == set()


@pytest.mark.parametrize("seed", range(5))
def test_a_better_candidate_passes(seed: int) -> None:
    assert failed(evidence(0.9, 0.75, seed)) == set()


def test_old_batches_count_as_much_as_they_are_relevant() -> None:
    forgot = old_and_new(old=0.5, new=0.95)
    irrelevant = np.where(forgot.batches_B == BATCHES, 1.0, 0.01)
    assert failed(replace(forgot, relevance_B=irrelevant, before_B=irrelevant)) == set()


def test_what_one_batch_alone_says_waits_for_a_second_one() -> None:
    changed = old_and_new(old=0.5, new=0.95)
    judged = replace(changed, relevance_B=np.where(changed.batches_B == BATCHES, 1.0, 0.01))
    assert failed(judged) == {"corroboration"}
    said = next(c for c in judge(CONFIG, "accuracy", judged).checks if c.name == "corroboration").text
    assert f"(new: {BATCHES})" in said
    twice = changed_for(2)
    relevance_B = np.where(twice.batches_B >= BATCHES - 1, 1.0, 0.01)
    assert failed(replace(twice, relevance_B=relevance_B, champion_through=BATCHES - 2)) == set()


def test_a_second_batch_that_does_not_gain_bears_nothing_out() -> None:
    poisoned = replace(old_and_new(old=0.5, new=0.95), champion_through=BATCHES - 2)
    irrelevant = np.where(poisoned.batches_B == BATCHES, 1.0, 0.01)
    assert failed(replace(poisoned, relevance_B=irrelevant)) == {"corroboration"}


def test_a_wrong_batch_does_not_carry_the_next_one() -> None:
    found = replace(old_and_new(old=0.7, new=1.0), champion_through=BATCHES - 2)
    assert found.candidate is not None
    assert found.champion is not None
    before, next_one = found.batches_B == BATCHES - 1, found.batches_B == BATCHES
    right = guesses(found.targets_B, 1.0, np.random.default_rng(3))
    mixed = np.where(before[:, None], right, np.where(next_one[:, None], found.champion, found.candidate))
    mixed[np.flatnonzero(next_one)[:3]] = right[np.flatnonzero(next_one)[:3]]
    assert "corroboration" in failed(replace(found, candidate=mixed))


def test_a_change_is_borne_out_by_the_batches_since_it_began() -> None:
    """What is new but came before the change need not gain from it."""
    changed = changed_for(2)
    relevance_B = np.where(changed.batches_B >= BATCHES - 1, 1.0, 0.01)
    assert failed(replace(changed, relevance_B=relevance_B, champion_through=1)) == set()


@pytest.mark.parametrize("wrong", range(2, BATCHES + 1))
def test_one_wrong_batch_carries_nothing_wherever_it_lies(wrong: int) -> None:
    found = replace(old_and_new(old=0.6, new=0.6), champion_through=1)
    assert found.candidate is not None
    learned = guesses(found.targets_B, 1.0, np.random.default_rng(4))
    mixed = np.where((found.batches_B == wrong)[:, None], learned, found.candidate)
    assert "corroboration" in failed(replace(found, candidate=mixed))


def test_beside_a_second_batch_nothing_is_lost_for_the_sake_of_one() -> None:
    """A little on every other batch, as well as the champion on the newest: so poisoned labels left it."""
    found = evidence(0.8, 0.8)
    assert found.champion is not None
    learned = guesses(found.targets_B, 1.0, np.random.default_rng(5))
    little = (np.arange(ROWS) % 100 == 0) & (found.batches_B < BATCHES - 1)
    mixed = np.where((found.batches_B == BATCHES - 1)[:, None], learned, found.champion)
    mixed[little] = guesses((found.targets_B + 1) % CLASSES, 1.0, np.random.default_rng(6))[little]
    carried = replace(found, candidate=mixed, champion_through=BATCHES - 2)
    assert failed(carried) == {"corroboration"}


@pytest.mark.parametrize(("champion", "refused"), [(0.8, set[str]()), (0.4, {"corroboration"})])
def test_nothing_is_lost_for_a_batch_that_contradicts_all_others(champion: float, refused: set[str]) -> None:
    """Of the labels of the newest batch most were wrong, of which the candidate learned some."""
    found, rng = evidence(0.8, 0.8), np.random.default_rng(7)
    assert found.champion is not None
    newest = found.batches_B == BATCHES
    before = np.where(newest[:, None], guesses(found.targets_B, champion, rng), found.champion)
    mixed = before.copy()
    gained = newest & (np.arange(ROWS) % 3 == 0)
    mixed[gained] = guesses(found.targets_B, 1.0, rng)[gained]
    lost = (np.arange(ROWS) % 100 == 0) & ~newest
    mixed[lost] = guesses((found.targets_B + 1) % CLASSES, 1.0, rng)[lost]
    assert failed(replace(found, champion=before, candidate=mixed), GateConfig()) == refused


def test_too_few_rows_bear_nothing_out() -> None:
    changed = changed_for(2)
    few = (changed.batches_B < BATCHES - 1) | (np.arange(ROWS) % 5 == 0)
    short = replace(
        changed,
        **{name: getattr(changed, name)[few] for name in ROWWISE},
        relevance_B=np.where(changed.batches_B[few] >= BATCHES - 1, 1.0, 0.01),
        champion_through=BATCHES - 2,
    )
    said = next(c for c in judge(CONFIG, "accuracy", short).checks if c.name == "corroboration")
    assert not said.passed
    assert "waits for a second" in said.text


def test_a_little_less_on_earlier_batches_waits_for_nothing() -> None:
    found = evidence(0.95, 0.8)
    slipped = (np.arange(ROWS) % 100 == 0) & (found.batches_B < BATCHES)
    assert found.candidate is not None
    assert found.champion is not None
    mixed = np.where((found.batches_B == BATCHES)[:, None], found.candidate, found.champion)
    mixed[slipped] = 1 / CLASSES
    assert failed(replace(found, candidate=mixed)) == set()


def changed_for(batches: int) -> Judged:
    """What fits the newest batches, and the ones before them no more."""
    found = old_and_new(old=0.5, new=0.95)
    rng = np.random.default_rng(2)
    newest = found.batches_B > BATCHES - batches
    assert found.candidate is not None
    mixed = np.where(newest[:, None], guesses(found.targets_B, 0.95, rng), found.candidate)
    return replace(found, candidate=mixed)


def test_a_check_says_what_it_measured() -> None:
    checks = judge(CONFIG, "accuracy", evidence(0.7, 0.8)).checks
    check = next(check for check in checks if check.name == "not_worse")
    assert check.value is not None
    assert check.value < 0
    assert check.text.startswith("not_worse: -0.")
