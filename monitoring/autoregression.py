"""Autoregression: the part of a series that its own past predicts.

Shapes: N rows, P lags, F features, K = P + 1 orders. Order k predicts from the latest k values.
"""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

LARGEST_ORDER = 24
LARGEST_PARTIAL = 0.9999
"""Autocovariances of a series with gaps need not be those of any process; this keeps the variances positive."""


def partial_autocorrelations(values_N: Floats, order: int) -> Floats:
    """Solve the Yule–Walker equations by Levinson's recursion.

    values_N: centred on zero; NaN where a reading is missing. Returns (order,).
    """
    covariances = _autocovariances(values_N, order)
    partials_P, coefficients = np.zeros(order), np.empty(0)
    variance = float(covariances[0])
    for k in range(order if variance > 0 else 0):
        partial = (covariances[k + 1] - coefficients @ covariances[k:0:-1]) / variance
        partials_P[k] = np.clip(partial, -LARGEST_PARTIAL, LARGEST_PARTIAL)
        coefficients = np.append(coefficients - partials_P[k] * coefficients[::-1], partials_P[k])
        variance *= 1 - partials_P[k] ** 2
    return partials_P


def chosen_order(partials_P: Floats, rows: int) -> int:
    """The order of the least AIC, or three times it where it exceeds two, because moving averages need a long tail."""
    criteria_K = rows * np.log(variances(partials_P)) + 2 * np.arange(len(partials_P) + 1)
    order = int(np.argmin(criteria_K))
    return min(len(partials_P), 3 * order) if order > 2 else order


def variances(partials_P: Floats) -> Floats:
    """The variance left by the predictor of each order, as a share of the series' own; (..., K)."""
    own = np.ones((*partials_P.shape[:-1], 1))
    return np.cumprod(np.concatenate([own, 1 - partials_P**2], axis=-1), axis=-1, dtype=np.float64)


def predictors(partials_FP: Floats) -> Floats:
    """The coefficients of every order, latest value first and zeros behind; (F, K, P)."""
    features, lags = partials_FP.shape
    table_FKP = np.zeros((features, lags + 1, lags))
    for k in range(lags):
        shorter, partial = table_FKP[:, k, :k], partials_FP[:, k, None]
        table_FKP[:, k + 1, :k] = shorter - partial * shorter[:, ::-1]
        table_FKP[:, k + 1, k] = partials_FP[:, k]
    return table_FKP


def spectrum(partials_P: Floats, variance: float, frequencies_H: Floats) -> Floats:
    """The autoregression's spectral density, whose mean over all frequencies is the series' variance.

    frequencies_H: in cycles a row.
    """
    coefficients_P = predictors(partials_P[None])[0, -1]
    turns_HP = np.exp(-2j * np.pi * np.outer(frequencies_H, np.arange(1, len(partials_P) + 1)))
    return variance * variances(partials_P)[-1] / np.abs(1 - turns_HP @ coefficients_P) ** 2


def known_values(values_N: Floats) -> Floats:
    """The readings that are there."""
    return values_N[np.isfinite(values_N)]


def long_run_variance(values_N: Floats, lags: int) -> float:
    """The variance of sums of values, as a share of the number of values; Bartlett's weights."""
    centred_N = values_N - values_N.mean()
    lags = min(lags, len(values_N) // 4)
    products = [centred_N[k:] @ centred_N[: len(centred_N) - k] * (1 - k / (lags + 1)) for k in range(1, lags + 1)]
    return float(centred_N @ centred_N + 2 * sum(products)) / len(values_N)


def _autocovariances(values_N: Floats, lags: int) -> Floats:
    known_N = np.isfinite(values_N)
    filled_N, rows = np.where(known_N, values_N, 0.0), len(values_N)
    covariances = np.zeros(lags + 1)
    for k in range(min(lags + 1, rows)):
        pairs = np.count_nonzero(known_N[k:] & known_N[: rows - k])
        covariances[k] = filled_N[k:] @ filled_N[: rows - k] / max(1, pairs) * (1 - k / rows)
    return covariances
