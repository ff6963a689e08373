import numpy as np
import pytest

from monitoring.wager import ENOUGH, LEAST_BATCHES, Wager


def play(gain: float, batches: int, rng: np.random.Generator, luck: float = 0.0) -> int | None:
    """The first batch after which the challenger is proven better; `luck` persists half from batch to batch."""
    wager, drift = Wager(), 0.0
    for number in range(1, batches + 1):
        drift = 0.5 * drift + luck * rng.standard_normal()
        wager = wager.observe(rng.standard_normal(100) + gain + drift)
        if wager.proven:
            return number
    return None


@pytest.mark.parametrize("luck", [0.0, 0.1])
def test_equals_are_seldom_told_apart_however_often_one_looks(luck: float) -> None:
    rng = np.random.default_rng(0)
    proven = [play(0.0, 60, rng, luck) is not None for _ in range(150)]
    assert np.mean(proven) <= 0.05 + 2 * np.sqrt(0.05 * 0.95 / 150)


def test_the_better_one_is_proven_and_the_worse_one_never() -> None:
    rng = np.random.default_rng(1)
    found = [play(0.3, 60, rng) for _ in range(20)]
    assert all(number is not None for number in found)
    assert np.median([number for number in found if number]) <= 20
    assert all(play(-0.1, 60, rng) is None for _ in range(20))


def test_no_luck_is_enough_in_the_first_batches() -> None:
    wager = Wager()
    for _ in range(LEAST_BATCHES - 1):
        wager = wager.observe(np.ones(50))
        assert not wager.proven
    for _ in range(30):
        wager = wager.observe(np.ones(50))
    assert wager.proven
    assert wager.wealth >= ENOUGH


def test_nothing_to_tell_apart_leaves_the_stake() -> None:
    wager = Wager().observe(np.zeros(20)).observe(np.array([]))
    assert wager.wealth == 1.0


def test_a_loss_that_is_not_finite_is_refused() -> None:
    with pytest.raises(ValueError, match="finite"):
        Wager().observe(np.array([0.0, np.nan]))


def test_a_long_losing_streak_has_no_overflow() -> None:
    wager = Wager()
    for _ in range(500):
        wager = wager.observe(-np.ones(20))
    assert 0 <= wager.wealth < 0.01


def test_catastrophes_that_are_as_likely_as_unseen_are_no_proof() -> None:
    """One row in three hundred costs a whole error, the others gain as much together: no better, and seldom proven."""
    rng = np.random.default_rng(2)
    proven = 0
    for _ in range(100):
        wager = Wager()
        for _ in range(40):
            rare = rng.random(100) < 1 / 300
            wager = wager.observe(np.where(rare, -1.0, 1 / 299), worst=1.0)
            if wager.proven:
                proven += 1
                break
    assert proven <= 9
