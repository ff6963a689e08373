"""The dynamic program against brute force, and policies as look-ups."""

from itertools import product
from time import thread_time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitoring.backtest import Flags, Prices, Scores, oracle, replay, replay_matrices, replay_plan


@st.composite
def histories(draw: st.DrawFn) -> Scores:
    """Up to ten batches; some without labels, some that nothing can be learned from."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    batches = draw(st.integers(1, 10))
    scores_VT = np.triu(rng.random((batches, batches)), 1)
    scores_VT[np.tri(batches, dtype=bool)] = np.nan
    scores_VT[:, rng.random(batches) < draw(st.sampled_from([0, 0.3]))] = np.nan
    learnable_T = rng.random(batches) < draw(st.sampled_from([0.6, 1.0]))
    learnable_T[rng.integers(batches)] = True
    metric = draw(st.sampled_from(["accuracy", "rmse", "log_loss"]))
    return Scores(metric, scores_VT, learnable_T, rng.integers(1, 100, batches).astype(float), 1 + rng.random())


@settings(max_examples=100, deadline=None)
@given(histories(), st.floats(0, 300), st.floats(0, 2), st.floats(0, 3))
def test_the_dynamic_program_equals_brute_force(scores: Scores, training: float, sample: float, point: float) -> None:
    prices, batches = Prices(training, sample, point), len(scores.learnable_T)
    plans_PT = np.array(list(product([False, True], repeat=batches)))
    every_plan = replay(scores, lambda _, t: plans_PT[:, t], len(plans_PT), prices)
    least = replay_plan(scores, oracle(scores, prices), prices).cost_P[0]
    assert least == pytest.approx(every_plan.cost_P.min(), abs=1e-9)


def history(scores_VT: list[list[float]], samples: list[float] | None = None) -> Scores:
    count = len(scores_VT)
    return Scores("accuracy", np.array(scores_VT), np.ones(count, np.bool_), np.array(samples or [0.0] * count))


def test_what_a_policy_costs() -> None:
    nan = float("nan")
    scores = history([[nan, 0.9, 0.6, 0.5], [nan, nan, 0.8, 0.7], [nan, nan, nan, 0.9], [nan] * 4], [5, 10, 20, 40])
    fires_PVT: Flags = np.zeros((3, 4, 4), np.bool_)
    fires_PVT[1] = True
    fires_PVT[2, 0, 2] = True
    result = replay_matrices(scores, fires_PVT, Prices(training=3, sample=0.1, point=2))
    assert result.served_PT.tolist() == [[-1, 0, 0, 0], [-1, 0, 1, 2], [-1, 0, 0, 2]]
    assert result.trainings_P.tolist() == [0, 2, 1], "a training on the last batch shows nothing and is not paid for"
    assert result.samples_P.tolist() == [0, 30, 20]
    assert result.score_P == pytest.approx([2 / 3, 2.6 / 3, 2.4 / 3])
    assert result.points_P == pytest.approx([100, 40, 60])
    assert result.cost_P == pytest.approx([200, 80 + 2 * 3 + 3, 120 + 3 + 2])
    assert oracle(scores, Prices(0, 0, 1)).tolist() == [False, True, True, False]
    assert oracle(scores, Prices(1000, 0, 1)).tolist() == [False] * 4


def test_points_of_every_metric() -> None:
    def points(metric: str, value: float, deviation: float = 1.0) -> float:
        scores_VT = np.array([[np.nan, value], [np.nan, np.nan]])
        return Scores(metric, scores_VT, np.ones(2, np.bool_), np.zeros(2), deviation).points_VT[0, 1]  # pyright: ignore

    assert points("macro_f1", 0.75) == pytest.approx(25)
    assert points("rmse", 3.0, deviation=6.0) == pytest.approx(50)
    assert points("log_loss", 0.7, deviation=6.0) == pytest.approx(70)


def test_ten_thousand_policies_take_less_than_seconds() -> None:
    rng = np.random.default_rng(0)
    scores = Scores("accuracy", rng.random((50, 50)), np.ones(50, np.bool_), np.ones(50))
    limits_P = rng.random(10_000)
    started = thread_time()
    replay(scores, lambda current_P, t: scores.scores_VT[current_P, t] < limits_P, 10_000, Prices())
    assert thread_time() - started < 2
