"""Two models on the same rows: weighted scores, and how sure the difference between them is.

A metric is a function of sums over rows, so that weighting rows and drawing them again both are a product of matrices.
Shapes: B samples, K classes, S sums that a metric needs, G blocks, R resamples.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from monitoring.performance import CLASS_METRICS, METRICS, Metric, Predictions, gain, row_values, score

Floats = NDArray[np.float64]

BLOCKS_PER_BATCH = 10
SMALLEST_BLOCK = 5
FEWEST_BLOCKS = 5


def weighted_score(metric: Metric, predictions: Predictions, targets_B: NDArray[Any], weights_B: Floats) -> float:
    """The metric over rows that count by weight; equal weights give `score`.

    Raises ValueError as `score` does, and where no row counts.
    """
    return float(_scores(metric, weights_B @ _statistics(metric, predictions, targets_B, weights_B)))


def gain_bound(
    metric: Metric,
    new: Predictions,
    old: Predictions,
    targets_B: NDArray[Any],
    batches_B: NDArray[np.integer[Any]],
    weights_B: Floats,
    *,
    confidence: float,
    resamples: int,
    seed: int,
) -> float:
    """The gain of the new predictions over the old that is exceeded with this confidence.

    A paired block bootstrap (Künsch 1989): contiguous blocks of each batch are drawn again, so that neighbouring rows,
    which err together, stay together. Rows are in order of time. Raises ValueError as `score` does, and where there
    are too few rows for blocks.
    """
    blocks_B, count = blocks_of(batches_B), count_blocks(batches_B)
    if count < FEWEST_BLOCKS:
        raise ValueError(
            f"{len(targets_B)} held-out rows are too few to compare: {FEWEST_BLOCKS * SMALLEST_BLOCK} are needed"
        )
    draws_RG = np.random.default_rng(seed).multinomial(count, np.full(count, 1 / count), size=resamples)
    scores = [_resampled(metric, p, targets_B, weights_B, blocks_B, draws_RG) for p in (new, old)]
    gains_R = np.array([gain(metric, a, b) for a, b in zip(*scores, strict=True)])
    return float(np.quantile(gains_R, 1 - confidence))


def _resampled(
    metric: Metric,
    predictions: Predictions,
    targets_B: NDArray[Any],
    weights_B: Floats,
    blocks_B: NDArray[np.int64],
    draws_RG: NDArray[np.int64],
) -> list[float]:
    statistics_BS = _statistics(metric, predictions, targets_B, weights_B) * weights_B[:, None]
    sums_GS = np.zeros((draws_RG.shape[1], statistics_BS.shape[1]))
    np.add.at(sums_GS, blocks_B, statistics_BS)
    return _scores(metric, draws_RG @ sums_GS).tolist()


def blocks_of(batches_B: NDArray[np.integer[Any]]) -> NDArray[np.int64]:
    """The number of each row's block: at most ten contiguous blocks a batch, of five rows or more if possible."""
    _, inverse_B, rows = np.unique(batches_B, return_inverse=True, return_counts=True)
    blocks = np.clip(rows // SMALLEST_BLOCK, 1, BLOCKS_PER_BATCH)
    order_B = np.argsort(inverse_B, kind="stable")
    places_B = np.empty(len(batches_B), np.int64)
    places_B[order_B] = np.arange(len(batches_B)) - np.repeat(np.cumsum(rows) - rows, rows)
    return (np.cumsum(blocks) - blocks)[inverse_B] + places_B * blocks[inverse_B] // rows[inverse_B]


def count_blocks(batches_B: NDArray[np.integer[Any]]) -> int:
    """How many blocks these rows make; fewer than `FEWEST_BLOCKS` tell nothing."""
    return int(blocks_of(batches_B).max(initial=-1)) + 1


def _statistics(metric: Metric, predictions: Predictions, targets_B: NDArray[Any], weights_B: Floats) -> Floats:
    """What the metric sums, a row for each sample: (B, S)."""
    score(metric, predictions, targets_B)  # refuses what has no score
    if metric not in METRICS["classification" if predictions.ndim == 2 else "regression"]:
        raise ValueError(f"{metric} does not fit predictions of shape {predictions.shape}")
    if weights_B.shape != targets_B.shape or not np.isfinite(weights_B).all() or weights_B.min() < 0:
        raise ValueError("every row needs a weight that is finite and not negative")
    if weights_B.sum() <= 0:
        raise ValueError("no row counts: all weights are zero")
    if metric in CLASS_METRICS:
        return _class_statistics(predictions.argmax(1), targets_B)
    return np.stack([row_values(metric, predictions, targets_B), np.ones(len(targets_B))], 1)


def _class_statistics(guesses_B: NDArray[np.int64], targets_B: NDArray[Any]) -> Floats:
    classes_K = np.unique(targets_B)
    present_BK, guessed_BK = targets_B[:, None] == classes_K, guesses_B[:, None] == classes_K
    return np.concatenate([present_BK & guessed_BK, present_BK, guessed_BK], 1).astype(np.float64)


def _scores(metric: Metric, sums: Floats) -> Floats:
    """(…, S) sums → (…) scores; a class that no row counts for is left out."""
    if metric in CLASS_METRICS:
        hits, present, guessed = np.split(sums, 3, axis=-1)
        counted = present > 0
        divisor = present if metric == "balanced_accuracy" else (present + guessed) / 2
        shares = np.divide(hits, divisor, out=np.zeros_like(hits), where=counted)
        return shares.sum(-1) / counted.sum(-1)
    means = sums[..., 0] / sums[..., 1]
    return np.sqrt(means) if metric == "rmse" else means
