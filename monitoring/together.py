"""All sensors together: changes of how they depend on each other, which no sensor shows alone.

The maximum mean discrepancy with the kernel (w·w')², that is of second moments, made sequential: its witness, learned
from the batches before, is tested on the next (Gretton et al. 2012; predictive two-sample tests, Podkopaev and Ramdas
2023).
Shapes: N rows, R reference rows, F sensors, K directions, L bets.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import chi2

from monitoring.autoregression import LARGEST_ORDER, Floats, long_run_variance

TOGETHER = "all sensors together"
MOST_DIRECTIONS = 24
LEAST_VARIANCE = 0.01
"""Of a direction; sensors that repeat each other leave some almost without any."""
KEPT_ROWS = 2_000
LEAST_ROWS, ROWS_A_DIRECTION = 200, 20
LEAST_KNOWN = 0.9
FAR = 1e-3
"""The share of rows that would lie farther out than is counted, were they normal."""


@dataclass(frozen=True)
class Together:
    """The reference's sensors as one.

    sensors: their numbers among the features. directions_FK: from scores of innovations to uncorrelated directions of
    variance one. sums_KK: second moments of all whole reference rows, added up; count: how many. rows_RK: the latest
    of them.
    """

    sensors: NDArray[np.int64]
    directions_FK: Floats
    sums_KK: Floats
    count: int
    rows_RK: NDArray[np.float16]

    @property
    def heard(self) -> bool:
        """Whether there are enough whole rows for so many directions."""
        return bool(self.sums_KK.size) and self.count >= self._needed

    @property
    def reason(self) -> str:
        """Why it is not watched."""
        return f"the reference has {self.count} rows without a gap, {len(self.sums_KK)} directions need {self._needed}"

    @property
    def _needed(self) -> int:
        return max(LEAST_ROWS, ROWS_A_DIRECTION * len(self.sums_KK))

    def project(self, scores_NF: Floats) -> Floats:
        """Rows without a gap in the reference's directions, those far out drawn in; (N, K)."""
        rows_NK = scores_NF[:, self.sensors] @ self.directions_FK
        rows_NK = rows_NK[np.isfinite(rows_NK).all(1)]
        radius_N = np.sqrt((rows_NK**2).sum(1, keepdims=True))
        return rows_NK * np.minimum(1, np.sqrt(chi2.isf(FAR, rows_NK.shape[1])) / np.maximum(radius_N, 1e-9))

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """As named arrays for an npz file."""
        return {field.name: np.asarray(getattr(self, field.name)) for field in fields(self)}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> "Together":
        """What `to_arrays` gave."""
        names = ("sensors", "directions_FK", "sums_KK", "rows_RK")
        return cls(count=int(arrays["count"]), **{name: arrays[name] for name in names})


@dataclass(frozen=True)
class Since:
    """Second moments of the rows since the reference, added up, and how many rows; the bets on a change.

    wealth_L: log(1 + M) of each bet's e-detector M, which starts at zero.
    """

    sums_KK: Floats
    count: int
    wealth_L: Floats


def fit_together(scores_NF: Floats, sensors: Sequence[int]) -> Together:
    """Learn how the reference's sensors depend on each other.

    scores_NF: of the innovations' level, one normal in each column. sensors: columns; those often missing are left out.
    """
    known_F = np.isfinite(scores_NF).mean(0) >= LEAST_KNOWN
    kept = np.array([f for f in sensors if known_F[f]], dtype=np.int64)
    whole_NF = scores_NF[np.isfinite(scores_NF[:, kept]).all(1)][:, kept]
    if len(kept) < 2 or not len(whole_NF):
        nothing = np.empty((0, 0))
        return Together(kept, np.empty((len(kept), 0)), nothing, 0, nothing.astype(np.float16))
    variances_F, vectors_FF = np.linalg.eigh(whole_NF.T @ whole_NF / len(whole_NF))
    ends = np.arange(len(kept))
    if len(kept) > MOST_DIRECTIONS:
        ends = np.concatenate([ends[: MOST_DIRECTIONS // 2], ends[-MOST_DIRECTIONS // 2 :]])
    directions_FK = (vectors_FF / np.sqrt(np.maximum(variances_F, LEAST_VARIANCE)))[:, ends]
    empty = np.zeros((len(ends), len(ends)))
    plain = Together(kept, directions_FK, empty, 0, empty[:0].astype(np.float16))
    rows_NK = plain.project(scores_NF)
    return Together(kept, directions_FK, rows_NK.T @ rows_NK, len(rows_NK), rows_NK[-KEPT_ROWS:].astype(np.float16))


def observe_together(together: Together, since: Since, scores_NF: Floats) -> tuple[float | None, Since]:
    """How far a batch's witness lies from the mean of all rows before it, in deviations, and the sums after it.

    None where there is nothing to tell yet. The witness knows only rows before the batch, and neither what it was
    learned from nor the batch counts twice: without a change its mean is that of all rows before, which came from one
    distribution. The spread and the skewness of its values, and how long they last, are the reference rows'.
    """
    if not together.heard:
        return None, since
    rows_NK = together.project(scores_NF)
    after = Since(since.sums_KK + rows_NK.T @ rows_NK, since.count + len(rows_NK), since.wealth_L)
    if not len(rows_NK) or not since.count:
        return None, after
    witness_KK = since.sums_KK / since.count - together.sums_KK / together.count
    earlier = together.count + since.count
    expected = float((witness_KK * (since.sums_KK + together.sums_KK)).sum()) / earlier
    usual_R = _values(witness_KK, together.rows_RK.astype(np.float64))
    centred_R = usual_R - usual_R.mean()
    spread = max(float(centred_R.std()), 1e-12)
    lasting = max(1.0, long_run_variance(centred_R / spread, LARGEST_ORDER))
    deviation = spread * np.sqrt(lasting * (1 / len(rows_NK) + 1 / earlier))
    distance = (_values(witness_KK, rows_NK).mean() - expected) / deviation
    skewness = float(((centred_R / spread) ** 3).mean()) * np.sqrt(lasting / len(rows_NK))
    return _normalised(float(distance), skewness), after


def _values(witness_KK: Floats, rows_NK: Floats) -> Floats:
    return ((rows_NK @ witness_KK) * rows_NK).sum(1)


def _normalised(distance: float, skewness: float) -> float:
    """A mean of skewed values as a normal number (Wilson and Hilferty 1931)."""
    if abs(skewness) < 1e-3:
        return distance
    return float(6 / skewness * (np.cbrt(1 + skewness * distance / 2) - 1) + skewness / 6)
