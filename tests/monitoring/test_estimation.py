"""Estimated scores against realised ones, on rows whose truth is known."""

import io

import numpy as np
import pytest
from numpy.typing import NDArray

from monitoring.estimation import Estimator, estimate, expected_class_score, fit_estimator
from monitoring.performance import METRICS, Metric, gain, score

Floats = NDArray[np.float64]
CLASS_METRICS, VALUE_METRICS = METRICS["classification"], METRICS["regression"]
SEEDS = range(10, 13)


def classes(rng: np.random.Generator, rows: int, shift: float) -> tuple[NDArray[np.float32], Floats, Floats]:
    """Probabilities of an overconfident model, inputs, and true classes drawn from the true probabilities."""
    inputs_B1 = rng.standard_normal((rows, 1)) * 1.5 + shift
    logits_B3 = np.concatenate([1.4 * inputs_B1, 0.4 * inputs_B1**2 - 0.5, -1.1 * inputs_B1], axis=1)
    true_B3 = np.exp(logits_B3) / np.exp(logits_B3).sum(1, keepdims=True)
    told_B3 = np.exp(2 * logits_B3) / np.exp(2 * logits_B3).sum(1, keepdims=True)
    targets_B = (true_B3.cumsum(1) < rng.random((rows, 1))).sum(1)
    return told_B3.astype(np.float32), inputs_B1.astype(np.float32), targets_B


def values(rng: np.random.Generator, rows: int, shift: float) -> tuple[NDArray[np.float32], Floats, Floats]:
    """Predictions whose error grows with the first of three inputs."""
    inputs_B3 = rng.standard_normal((rows, 3)) + np.array([shift, 0, 0])
    predictions_B = inputs_B3 @ [2.0, -1.0, 0.5]
    noise_B = (0.3 + np.exp(0.7 * inputs_B3[:, 0])) * rng.standard_normal(rows)
    return predictions_B.astype(np.float32), inputs_B3.astype(np.float32), predictions_B + noise_B


@pytest.mark.parametrize("metric", CLASS_METRICS)
def test_the_estimate_follows_the_score_where_the_inputs_move_classes(metric: Metric) -> None:
    off, naive = _distances(metric, classes, shifts=(-2.0, -1.0, 0.0, 1.0, 2.5))
    assert off < (0.12 if metric == "log_loss" else 0.04)
    assert off < 0.6 * naive


@pytest.mark.parametrize("metric", VALUE_METRICS)
def test_the_estimate_follows_the_score_where_the_inputs_move_values(metric: Metric) -> None:
    off, naive = _distances(metric, values, shifts=(-1.5, -0.75, 0.0, 0.75))
    assert off < 0.15
    assert off < 0.4 * naive


def _distances(metric: Metric, draw: object, shifts: tuple[float, ...]) -> tuple[float, float]:
    """Mean distance of the estimate, and of the held-out score, to the realised score of 500 rows."""
    off: list[float] = []
    naive: list[float] = []
    for seed in SEEDS:
        rng = np.random.default_rng(seed)
        predictions, inputs_BC, targets_B = draw(rng, 1000, 0.0)  # pyright: ignore
        estimator = fit_estimator(metric, predictions, inputs_BC, targets_B, seed)
        assert estimator is not None
        then = score(metric, predictions, targets_B)
        for shift in shifts:
            predictions, inputs_BC, targets_B = draw(rng, 500, shift)  # pyright: ignore
            realised = score(metric, predictions, targets_B)
            off.append(abs(gain(metric, estimate(estimator, predictions, inputs_BC, []).score, realised)))
            naive.append(abs(gain(metric, then, realised)))
    return float(np.mean(off)), float(np.mean(naive))


@pytest.mark.parametrize(("metric", "draw"), [("accuracy", classes), ("rmse", values)])
def test_nine_of_ten_scores_lie_in_the_range(metric: Metric, draw: object) -> None:
    inside: list[bool] = []
    for seed in range(20, 36):
        rng = np.random.default_rng(seed)
        predictions, inputs_BC, targets_B = draw(rng, 400, 0.0)  # pyright: ignore
        estimator = fit_estimator(metric, predictions, inputs_BC, targets_B, seed)
        assert estimator is not None
        for rows in (40, 200):
            predictions, inputs_BC, targets_B = draw(rng, rows, 0.2)  # pyright: ignore
            found = estimate(estimator, predictions, inputs_BC, [])
            inside.append(found.low <= score(metric, predictions, targets_B) <= found.high)
    assert np.mean(inside) > 0.85


def test_scores_that_have_come_correct_the_estimate_and_widen_its_range() -> None:
    """A concept that changed is invisible to confidence; only batches whose labels came tell of it."""
    predictions, inputs_BC, targets_B = classes(np.random.default_rng(0), 1000, 0.0)
    estimator = fit_estimator("accuracy", predictions, inputs_BC, targets_B, 0)
    assert estimator is not None
    blind = estimate(estimator, predictions, inputs_BC, [])
    told = estimate(estimator, predictions, inputs_BC, [(blind.expected, blind.expected - 0.2)] * 10)
    assert blind.score == pytest.approx(blind.expected)
    assert told.score == pytest.approx(blind.expected - 0.2 * 10 / 14)
    assert told.high - told.low > blind.high - blind.low
    assert told.low < blind.expected - 0.2


@pytest.mark.parametrize(("metric", "draw"), [("macro_f1", classes), ("mae", values)])
def test_an_estimator_survives_its_arrays(metric: Metric, draw: object) -> None:
    predictions, inputs_BC, targets_B = draw(np.random.default_rng(1), 300, 0.0)  # pyright: ignore
    inputs_BC[::7, 0] = np.nan
    estimator = fit_estimator(metric, predictions, inputs_BC, targets_B, 1)
    assert estimator is not None
    file = io.BytesIO()
    np.savez(file, **estimator.to_arrays())
    file.seek(0)
    with np.load(file, allow_pickle=False) as arrays:
        again = Estimator.from_arrays(dict(arrays))
    assert estimate(again, predictions, inputs_BC, []) == estimate(estimator, predictions, inputs_BC, [])


def test_few_rows_give_no_estimator() -> None:
    predictions, inputs_BC, targets_B = classes(np.random.default_rng(2), 39, 0.0)
    assert fit_estimator("accuracy", predictions, inputs_BC, targets_B, 2) is None


def test_a_model_that_predicts_no_numbers_has_no_estimate() -> None:
    predictions, inputs_BC, targets_B = values(np.random.default_rng(3), 200, 0.0)
    estimator = fit_estimator("rmse", predictions, inputs_BC, targets_B, 3)
    assert estimator is not None
    predictions[5] = np.nan
    assert fit_estimator("rmse", predictions, inputs_BC, targets_B, 3) is None
    with pytest.raises(ValueError, match="needs finite predictions"):
        estimate(estimator, predictions, inputs_BC, [])


def test_certain_predictions_promise_a_perfect_score() -> None:
    certain = np.eye(3, dtype=np.float32)[np.arange(30) % 3]
    assert expected_class_score("accuracy", certain, 1.0) == pytest.approx(1, abs=1e-6)
    assert expected_class_score("macro_f1", certain, 1.0) == pytest.approx(1, abs=1e-6)
    assert expected_class_score("balanced_accuracy", certain[:1], 1.0) == pytest.approx(1, abs=1e-6)
