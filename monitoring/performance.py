"""Scores of predictions against targets, and how two scores compare.

Shapes: B samples, K classes.
"""

import math
from collections.abc import Mapping
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

Metric = Literal["accuracy", "balanced_accuracy", "macro_f1", "log_loss", "rmse", "mae"]
SignalMetric = Literal[
    "element_recall_at_1",
    "element_map_at_r",
    "session_recall_at_1",
    "session_map_at_r",
    "keypoint_mae",
    "keypoint_median",
    "keypoint_p90",
    "keypoint_within",
]
"""Of representations (`monitoring.representation`)."""
SIGNAL_METRICS: tuple[SignalMetric, ...] = get_args(SignalMetric)
AnyMetric = Metric | SignalMetric

METRICS: Mapping[str, tuple[Metric, ...]] = {
    "classification": ("accuracy", "balanced_accuracy", "macro_f1", "log_loss"),
    "regression": ("rmse", "mae"),
}
SHARES: frozenset[AnyMetric] = frozenset({"rmse", "mae", "keypoint_mae", "keypoint_median", "keypoint_p90"})
"""Those whose gain is a share of the old score."""
LOWER_IS_BETTER: frozenset[AnyMetric] = SHARES.union({"log_loss"})
CLASS_METRICS: frozenset[Metric] = frozenset({"balanced_accuracy", "macro_f1"})

Predictions = NDArray[np.float32]
"""Class probabilities (B, K), or values (B,)."""


def score(metric: Metric, predictions: Predictions, targets_B: NDArray[Any]) -> float:
    """The metric over all samples.

    targets_B: class numbers (−1: a class the model does not know, always wrong) or values.
    Raises ValueError for no samples and for predictions that are not finite: there is no score to fall back on.
    """
    if len(targets_B) == 0 or len(targets_B) != len(predictions):
        raise ValueError(f"{metric} needs as many predictions as targets, got {len(predictions)} and {len(targets_B)}")
    if not np.isfinite(predictions).all():
        raise ValueError(f"{metric}: {int((~np.isfinite(predictions)).sum())} predictions are not finite")
    if metric in CLASS_METRICS:
        return _class_score(metric, predictions.argmax(1), targets_B)
    mean = float(row_values(metric, predictions, targets_B).mean())
    return math.sqrt(mean) if metric == "rmse" else mean


def row_values(metric: Metric, predictions: Predictions, targets_B: NDArray[Any]) -> NDArray[np.float64]:
    """What the metric is the mean of (rmse: the root of the mean), for each row."""
    assert metric not in CLASS_METRICS, f"{metric} is no mean over rows"
    if metric == "rmse":
        return np.square(predictions.astype(np.float64) - targets_B)
    if metric == "mae":
        return np.abs(predictions.astype(np.float64) - targets_B)
    if metric == "log_loss":
        return -np.log(_probability_of_target(predictions, targets_B))
    return (predictions.argmax(1) == targets_B).astype(np.float64)


def row_losses(metric: Metric, predictions: Predictions, targets_B: NDArray[Any]) -> NDArray[np.float64]:
    """What each row costs under the metric: their mean falls as the metric improves.

    For the metrics that are means over classes a row weighs as its class does (macro_f1 as balanced_accuracy).
    """
    if metric not in CLASS_METRICS:
        values_B = row_values(metric, predictions, targets_B)
        return values_B if metric in LOWER_IS_BETTER else 1 - values_B
    _, inverse_B, counts = np.unique(targets_B, return_inverse=True, return_counts=True)
    wrong_B = (predictions.argmax(1) != targets_B).astype(np.float64)
    return wrong_B * (len(targets_B) / (len(counts) * counts))[inverse_B]


def score_all(task: str, predictions: Predictions, targets_B: NDArray[Any]) -> dict[str, float]:
    """Every metric of the task."""
    return {m: score(m, predictions, targets_B) for m in METRICS[task]}


def gain(metric: AnyMetric, score_new: float, score_old: float) -> float:
    """How much better the new score is: a difference, for `SHARES` as a share of the old score."""
    if metric in SHARES:
        return (score_old - score_new) / max(score_old, 1e-12)
    return score_old - score_new if metric in LOWER_IS_BETTER else score_new - score_old


def _probability_of_target(probabilities_BK: Predictions, targets_B: NDArray[Any]) -> NDArray[np.float64]:
    known_B = targets_B >= 0
    chosen_B = probabilities_BK[np.arange(len(targets_B)), np.where(known_B, targets_B, 0).astype(np.int64)]
    return np.clip(np.where(known_B, chosen_B, 0.0).astype(np.float64), 1e-9, 1.0)


def _class_score(metric: Metric, guesses_B: NDArray[np.int64], targets_B: NDArray[Any]) -> float:
    right_B = guesses_B == targets_B
    classes = np.unique(targets_B)
    hits = np.array([right_B[targets_B == c].sum() for c in classes], dtype=np.float64)
    present = np.array([(targets_B == c).sum() for c in classes], dtype=np.float64)
    if metric == "balanced_accuracy":
        return float((hits / present).mean())
    guessed = np.array([(guesses_B == c).sum() for c in classes], dtype=np.float64)
    return float((2 * hits / (present + guessed)).mean())
