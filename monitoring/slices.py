"""Two models on many slices of the same rows, told apart together: a block bootstrap with one correction for all.

Shapes: B samples, S slices, G blocks, R resamples.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from monitoring.comparison import Floats, blocks_of
from monitoring.performance import CLASS_METRICS, LOWER_IS_BETTER, Metric, Predictions, row_values, score

SHARES = ("rmse", "mae")
_TINY = 1e-12


@dataclass(frozen=True)
class SliceGains:
    """What each slice gains with the new model, in points (rmse, mae: as a share of the old error).

    new_S, old_S: scores. bounds_S: every slice's true gain lies below its bound, all at once, with the confidence
    asked for. worst_gain, worst_bound: the same for the worst of the slices marked, whichever it is for each model;
    0 where none is.
    """

    new_S: Floats
    old_S: Floats
    gains_S: Floats
    bounds_S: Floats
    worst_gain: float
    worst_bound: float


def compare_slices(
    metric: Metric,
    new: Predictions,
    old: Predictions,
    targets_B: NDArray[Any],
    batches_B: NDArray[np.integer[Any]],
    weights_B: Floats,
    slices_BS: NDArray[np.bool_],
    classes_S: NDArray[np.int64],
    worst_of_S: NDArray[np.bool_],
    *,
    confidence: float,
    resamples: int,
    seed: int,
) -> SliceGains:
    """Both models on every slice, with bounds that hold for all slices together.

    classes_S: the class whose rows a slice holds, −1 for other slices. A class is scored by its F1 (log_loss: 1 − F1),
    which rows wrongly guessed to be of it lower as well: on the rows of one class alone, a champion that guesses only
    that one would be beyond reach. Elsewhere the metrics that are means over classes become the share of right rows,
    a class counting as much as another.

    Blocks of neighbouring rows are drawn again (Künsch 1989), the same for all slices, and the largest studentised
    deviation over the slices gives one critical value (Romano & Wolf 2005): it takes in that slices overlap.
    Raises ValueError as `score` does. Every slice needs rows that count.
    """
    blocks_B = blocks_of(batches_B)
    count = int(blocks_B.max()) + 1
    draws_RG = np.random.default_rng(seed).multinomial(count, np.full(count, 1 / count), size=resamples)
    found: list[Floats] = []
    drawn: list[Floats] = []
    for predictions in (new, old):
        parts = _parts(metric, predictions, targets_B, weights_B, slices_BS, classes_S)
        sums_GS, counts_GS = (_by_block(part_BS, blocks_B, count) for part_BS in parts)
        found.append(_score_of(metric, sums_GS.sum(0), counts_GS.sum(0)))
        drawn.append(_score_of(metric, draws_RG @ sums_GS, draws_RG @ counts_GS))
    gains_S, gains_RS = _with_worst(metric, found, worst_of_S), _with_worst(metric, drawn, worst_of_S)
    bounds_S = _bounds(gains_S, gains_RS, confidence)
    slices = len(worst_of_S)
    worst = (float(gains_S[slices]), float(bounds_S[slices])) if worst_of_S.any() else (0.0, 0.0)
    return SliceGains(found[0], found[1], gains_S[:slices], bounds_S[:slices], *worst)


def _with_worst(metric: Metric, scores: Sequence[Floats], worst_of_S: NDArray[np.bool_]) -> Floats:
    """The gain of every slice and, after them, of the worst slice, whichever it is for each model."""
    gains = _gain(metric, scores[0], scores[1])
    if not worst_of_S.any():
        return gains
    new, old = (_worst(metric, part[..., worst_of_S]) for part in scores)
    return np.concatenate([gains, _gain(metric, new, old)[..., None]], -1)


def _parts(
    metric: Metric,
    predictions: Predictions,
    targets_B: NDArray[Any],
    weights_B: Floats,
    slices_BS: NDArray[np.bool_],
    classes_S: NDArray[np.int64],
) -> tuple[Floats, Floats]:
    """What a slice's score is the quotient of, row by row: (B, S) and (B, S)."""
    of_rows: Metric = "accuracy" if metric in CLASS_METRICS else metric
    score(of_rows, predictions, targets_B)  # refuses what has no score
    counts_BS = _row_weights(metric, targets_B, weights_B)[:, None] * slices_BS
    sums_BS = counts_BS * row_values(of_rows, predictions, targets_B)[:, None]
    of_class_S = classes_S >= 0
    if of_class_S.any():
        present_BS, guessed_BS = slices_BS[:, of_class_S], predictions.argmax(1)[:, None] == classes_S[of_class_S]
        hits_BS, halves_BS = present_BS & guessed_BS, 0.5 * present_BS + 0.5 * guessed_BS
        sums_BS[:, of_class_S] = weights_B[:, None] * (halves_BS - hits_BS if metric == "log_loss" else hits_BS)
        counts_BS[:, of_class_S] = weights_B[:, None] * halves_BS
    return sums_BS, counts_BS


def _row_weights(metric: Metric, targets_B: NDArray[Any], weights_B: Floats) -> Floats:
    if metric not in CLASS_METRICS:
        return weights_B
    _, inverse_B, counts = np.unique(targets_B, return_inverse=True, return_counts=True)
    return weights_B / counts[inverse_B]


def _by_block(values_BS: Floats, blocks_B: NDArray[np.int64], count: int) -> Floats:
    """(G, S): the sum over the rows of each block."""
    blocks = (np.ones(len(blocks_B)), (blocks_B, np.arange(len(blocks_B))))
    return np.asarray(csr_array(blocks, shape=(count, len(blocks_B))) @ values_BS)


def _score_of(metric: Metric, sums: Floats, weights: Floats) -> Floats:
    means = sums / np.maximum(weights, _TINY)
    return np.sqrt(means) if metric == "rmse" else means


def _gain(metric: Metric, new: Floats, old: Floats) -> Floats:
    if metric in SHARES:
        return (old - new) / np.maximum(old, _TINY)
    return old - new if metric in LOWER_IS_BETTER else new - old


def _worst(metric: Metric, scores: Floats) -> Floats:
    return scores.max(-1) if metric in LOWER_IS_BETTER else scores.min(-1)


def _bounds(gains_S: Floats, gains_RS: Floats, confidence: float) -> Floats:
    """What every slice's true gain lies below, all at once."""
    spreads_S = np.maximum(gains_RS.std(0), _TINY)
    largest_R = ((gains_S - gains_RS) / spreads_S).max(1)
    return gains_S + float(np.quantile(largest_R, confidence)) * spreads_S
