"""How far predictions are off on average: calibration error.

Shapes: B samples, K classes, N bins.
"""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from monitoring.comparison import Floats
from monitoring.performance import Predictions

BINS = 15
ROWS_A_BIN = 20


def calibration_error(predictions: Predictions, targets_B: NDArray[Any], weights_B: Floats) -> float:
    """The root mean squared calibration error over bins of equal mass, less what chance alone would show.

    Of classes: how often the guess is right against the probability it was given. Of values: the mean target against
    the mean prediction, in deviations of the targets. The debiased estimate of Kumar, Liang & Ma (2019), for rows that
    count by weight; 0 where no more than chance is seen. Raises ValueError for fewer than twice 20 rows that count.
    """
    counts_B = weights_B > 0
    predictions, targets_B, weights_B = predictions[counts_B], targets_B[counts_B], weights_B[counts_B]
    bins = min(BINS, len(targets_B) // ROWS_A_BIN)
    if bins < 2:
        raise ValueError(f"{len(targets_B)} rows are too few for a calibration error: {2 * ROWS_A_BIN} are needed")
    said_B, seen_B = _said_and_seen(predictions, targets_B, weights_B)
    order_B = np.argsort(said_B, kind="stable")
    parts = [_squared_error((seen_B - said_B)[part], weights_B[part]) for part in np.array_split(order_B, bins)]
    masses_N = [float(weights_B[part].sum()) for part in np.array_split(order_B, bins)]
    return math.sqrt(max(0.0, float(np.average(parts, weights=masses_N))))


def _said_and_seen(predictions: Predictions, targets_B: NDArray[Any], weights_B: Floats) -> tuple[Floats, Floats]:
    if predictions.ndim == 2:
        right_B = predictions.argmax(1) == targets_B
        return predictions.max(1).astype(np.float64), right_B.astype(np.float64)
    targets_B = targets_B.astype(np.float64)
    mean = float(np.average(targets_B, weights=weights_B))
    deviation = math.sqrt(float(np.average(np.square(targets_B - mean), weights=weights_B)))
    return predictions.astype(np.float64) / max(deviation, 1e-12), targets_B / max(deviation, 1e-12)


def _squared_error(errors_B: Floats, weights_B: Floats) -> float:
    """The squared mean error of one bin, less the variance of that mean."""
    mean = float(np.average(errors_B, weights=weights_B))
    shares_B = weights_B / weights_B.sum()
    rows = 1 / float(np.square(shares_B).sum())
    variance = float(np.square(shares_B) @ np.square(errors_B - mean)) * rows / max(rows - 1, 1e-12)
    return mean**2 - variance
