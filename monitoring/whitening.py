"""Innovations: what is left of each feature's rows after its season and its own past.

Shapes: N rows, F features, P lags, K = P + 1 orders, H harmonics, S = 1 + 2H season columns (one, cosines, sines).
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from monitoring.autoregression import (
    LARGEST_ORDER,
    Floats,
    chosen_order,
    known_values,
    partial_autocorrelations,
    predictors,
    spectrum,
    variances,
)

LARGEST_VALUE = 20.0
"""In deviations; beyond it a reading tells no more."""
HARMONICS_FIRST, HARMONICS_OTHERS = 3, 2
SIGNIFICANT = 9.2
"""What one in a hundred harmonics reaches by chance: chi-squared with two degrees of freedom."""
CAUTION = 1.6
"""In standard errors: an autocorrelation taken too low makes false alarms, one too high only costs power."""
DOUBT = 3.0


@dataclass(frozen=True)
class Whitening:
    """How to turn a feature's rows into innovations.

    season_FS: mean and harmonics in raw units; scale_F: raw units in a deviation. partials_FP: partial
    autocorrelations; raised_F: added to the first coefficient; doubt_F: what an innovation's deviation grows with the
    value before it; corrected_F: the sum of the coefficients without its bias, but without `raised_F`'s caution.
    """

    frequencies_H: Floats
    season_FS: Floats
    scale_F: Floats
    partials_FP: Floats
    raised_F: Floats
    doubt_F: Floats
    corrected_F: Floats

    @property
    def lags(self) -> int:
        """How many values before a row its innovation needs."""
        return self.partials_FP.shape[1]

    @property
    def no_lags(self) -> Floats:
        """The lags of a first row, (P, F)."""
        return np.full(self.partials_FP.T.shape, np.nan)

    @cached_property
    def _predictors_FKP(self) -> Floats:
        table_FKP = predictors(self.partials_FP)
        table_FKP[:, 1:, 0] += self.raised_F[:, None]
        return table_FKP

    def standardise(self, values_NF: Floats, first_row: int) -> Floats:
        """Values without their season, in deviations; `first_row` counts from the reference's first."""
        season_NF = _columns(self.frequencies_H, len(values_NF), first_row) @ self.season_FS.T
        return np.clip((values_NF - season_NF) / self.scale_F, -LARGEST_VALUE, LARGEST_VALUE)

    def innovations(self, values_NF: Floats, lags_PF: Floats) -> Floats:
        """Standardised values less what the rows before predict; NaN where the value is missing.

        lags_PF: the standardised values before, in order of time, NaN where there are none. After a gap of k known
        values the predictor of order k is used, from the mean alone on, and its innovation shrunk to the usual size.
        """
        known = np.isfinite(joined := np.concatenate([lags_PF, values_NF]))
        filled, rows, lags = np.where(known, joined, 0.0), len(values_NF), self.lags
        predicted_NF = np.zeros_like(values_NF)
        for f, coefficients_P in enumerate(self._predictors_FKP[:, -1]):
            used_P = np.trim_zeros(coefficients_P, "b")
            if len(used_P):
                predicted_NF[:, f] = np.convolve(filled[lags - len(used_P) : -1, f], used_P, "valid")
        share_NF = np.ones_like(values_NF)
        if not known.all():
            self._predict_after_gaps(known, filled, predicted_NF, share_NF)
        doubt_NF = np.sqrt(1 + (self.doubt_F * filled[lags - 1 : lags - 1 + rows]) ** 2)
        return (values_NF - predicted_NF) * share_NF / doubt_NF

    def _predict_after_gaps(
        self, known: NDArray[np.bool_], filled: Floats, predicted_NF: Floats, share_NF: Floats
    ) -> None:
        index = np.arange(len(known))[:, None]
        run_NF = (index - 1 - np.maximum.accumulate(np.where(known, -1, index)))[self.lags - 1 : -1] + 1
        rows, features = np.nonzero(run_NF < self.lags)
        orders = run_NF[rows, features]
        before = rows[:, None] + self.lags - 1 - np.arange(self.lags)
        coefficients = self._predictors_FKP[features, orders]
        predicted_NF[rows, features] = np.einsum("ip,ip->i", filled[before, features[:, None]], coefficients)
        variances_FK = variances(self.partials_FP)
        share_NF[rows, features] = np.sqrt(variances_FK[features, -1] / variances_FK[features, orders])


def fit_whitening(values_NF: Floats, batch_rows: int, periods: tuple[float, ...]) -> Whitening:
    """Fit season and autoregression to reference rows in order of time.

    periods: of the season, in rows; each is tried when the reference holds it twice. Source: Yule–Walker estimates
    with their bias of (1 + 4ρ)/R taken out (Marriott and Pope), then raised by 1.6 standard errors.
    """
    frequencies_H = _frequencies(periods, len(values_NF))
    fits = [_fit_feature(values_N, frequencies_H, batch_rows) for values_N in values_NF.T]
    season_FS, scale_F, partials_FP, raised_F, doubt_F, corrected_F = (
        np.array(column) for column in zip(*fits, strict=True)
    )
    used = max(1, int(np.flatnonzero(np.append(True, partials_FP.any(0)))[-1]))
    return Whitening(frequencies_H, season_FS, scale_F, partials_FP[:, :used], raised_F, doubt_F, corrected_F)


def plain_whitening(values_NF: Floats) -> Whitening:
    """Mean and deviation alone, for rows without an order in time."""
    centre_F: Floats = np.nansum(values_NF, 0) / np.maximum(1, np.isfinite(values_NF).sum(0))
    scale_F = np.array([_deviation(values_N) for values_N in values_NF.T])
    none_F = np.zeros(len(centre_F))
    return Whitening(np.empty(0), centre_F[:, None], scale_F, none_F[:, None], none_F, none_F, none_F)


def _fit_feature(
    values_N: Floats, frequencies_H: Floats, batch_rows: int
) -> tuple[Floats, float, Floats, float, float, float]:
    known_N = values_N[np.isfinite(values_N)]
    if not len(known_N) or not np.ptp(known_N):
        season_S = np.append(known_N[:1] if len(known_N) else 0.0, np.zeros(2 * len(frequencies_H)))
        return season_S, _deviation(values_N), np.zeros(LARGEST_ORDER), 0.0, 0.0, 0.0
    season_S, rest_N = _fit_season(values_N, frequencies_H)
    scale = _deviation(rest_N)
    rest_N = np.clip(rest_N / scale, -LARGEST_VALUE, LARGEST_VALUE)
    rows = len(known_values(rest_N))
    partials_P = _fit_partials(rest_N)
    order = int(np.count_nonzero(partials_P))
    rho = float(predictors(partials_P[None])[0, -1].sum())
    slow = np.flatnonzero(np.append(frequencies_H, frequencies_H) * batch_rows < 1)
    bias = (1 + 4 * rho + np.count_nonzero(season_S[1:][slow])) / rows
    spread = np.sqrt(max(0.0, 1 - rho**2) / rows)
    raised = bias + CAUTION * max(spread, 1.5 * (1 - rho) * np.sqrt(order / rows))
    innovation = np.sqrt(max(1e-12, float(np.nanvar(rest_N))) * variances(partials_P)[-1])
    return season_S, scale, partials_P, min(raised, 1 - rho), DOUBT * spread / innovation, rho + bias


def _fit_partials(values_N: Floats) -> Floats:
    rows = len(known_values(values_N))
    partials_P = partial_autocorrelations(values_N, LARGEST_ORDER)
    partials_P[chosen_order(partials_P[: max(0, min(LARGEST_ORDER, rows // 4))], rows) :] = 0
    return partials_P


def _fit_season(values_N: Floats, frequencies_H: Floats) -> tuple[Floats, Floats]:
    """Mean and significant harmonics of a feature, and the rows without them."""
    columns_NS = _columns(frequencies_H, len(values_N), 0)
    season_S = _least_squares(columns_NS, values_N)
    if not len(frequencies_H):
        return season_S, values_N - columns_NS @ season_S
    rest_N = values_N - columns_NS @ season_S
    noise_H = spectrum(_fit_partials(rest_N), float(np.nanvar(rest_N)), frequencies_H)
    power_H = (season_S[1:] ** 2).reshape(2, -1).sum(0)
    kept_H = len(known_values(values_N)) * power_H > 2 * SIGNIFICANT * noise_H
    kept_S = np.concatenate([[True], kept_H, kept_H])
    season_S = np.zeros(len(kept_S))
    season_S[kept_S] = _least_squares(columns_NS[:, kept_S], values_N)
    return season_S, values_N - columns_NS @ season_S


def _least_squares(columns_NS: Floats, values_N: Floats) -> Floats:
    known_N = np.isfinite(values_N)
    return np.linalg.lstsq(columns_NS[known_N], values_N[known_N])[0].astype(np.float64)


def _columns(frequencies_H: Floats, rows: int, first_row: int) -> Floats:
    angles_NH = 2 * np.pi * np.outer(np.arange(first_row, first_row + rows), frequencies_H)
    return np.concatenate([np.ones((rows, 1)), np.cos(angles_NH), np.sin(angles_NH)], axis=1)


def _frequencies(periods: tuple[float, ...], rows: int) -> Floats:
    counts = [HARMONICS_FIRST, *[HARMONICS_OTHERS] * len(periods)]
    pairs = zip(periods, counts, strict=False)
    found = {k / period for period, count in pairs if rows >= 2 * period for k in range(1, count + 1)}
    return np.array(sorted(frequency for frequency in found if frequency < 0.5))


def _deviation(values_N: Floats) -> float:
    """By the median absolute deviation, or where half of the rows are equal by the standard deviation."""
    known_N = known_values(values_N)
    if not len(known_N):
        return 1.0
    spread = float(np.median(np.abs(known_N - np.median(known_N)))) * 1.4826
    least = max(1e-9, 1e-6 * float(np.abs(known_N).max()))
    return next((found for found in (spread, float(known_N.std())) if found > least), least)
