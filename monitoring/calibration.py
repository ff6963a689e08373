"""What a reference's rows say about chance: innovations, their distributions and how much of a change would show.

Shapes: R reference rows, N rows, F features, P lags, C = 2 channels (level, scale).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from monitoring.autoregression import LARGEST_ORDER, Floats, known_values, long_run_variance, variances
from monitoring.ranking import Ranking, fit_ranking
from monitoring.together import TOGETHER, Together, fit_together
from monitoring.whitening import Whitening, fit_whitening, plain_whitening

PERIODS = (24.0, 168.0)
"""A day and a week of hourly rows."""
LEAST_ROWS = 200
LEAST_ESS = 5.0
STEP = 0.5
"""In deviations; wide enough that readings of few distinct values do not look infinitely precise."""
DETECTABLE = 5.9
"""In standard errors: what half of the changes of this size reach with 20 features and a limit of 7,300."""


@dataclass(frozen=True)
class Past:
    """What the next row's scores need of the rows before.

    lags_PF: standardised values in order of time, NaN where there are none. size_F: the moving mean size of the
    innovations. block_F: the last block's score, NaN before the first. last_F, run_F: the last reading and how many
    times it has been read in a row.
    """

    lags_PF: Floats
    size_F: Floats
    block_F: Floats
    last_F: Floats
    run_F: Floats


@dataclass(frozen=True)
class Calibration:
    """All that checking later batches needs of the reference; its rows are not needed any more.

    known_F: readings of each feature. ess_F: how many independent rows the reference's mean is worth. information_F:
    how much of a shift of the innovations their scores keep, as Fisher information. omega_CF: the variance that sums of
    scores have beyond that of independent ones. sums_CF, counts_CF: of the reference's scores. longest_F: its longest
    run of equal readings; repeats_F: the share of readings equal to the one before, taken high.
    """

    names: tuple[str, ...]
    rows: int
    ordered: bool
    whitening: Whitening
    ranking: Ranking
    past: Past
    known_F: Floats
    ess_F: Floats
    information_F: Floats
    omega_CF: Floats
    sums_CF: Floats
    counts_CF: Floats
    longest_F: Floats
    repeats_F: Floats
    together: Together

    @property
    def heard_CF(self) -> NDArray[np.bool_]:
        """Which channels are watched: a mean worth fewer than five rows says nothing about another mean."""
        enough_F = self.known_F >= LEAST_ROWS
        return np.stack([enough_F & (self.ess_F >= LEAST_ESS), enough_F])

    def muted(self) -> dict[str, str]:
        """Why changes of level, or any changes, cannot be told, by feature."""
        level_F, scale_F = self.heard_CF
        short = f"the reference has fewer than {LEAST_ROWS} readings"
        reasons = {
            name: f"the reference is worth {self.ess_F[f]:.1f} independent rows, a change of level needs {LEAST_ESS:g}"
            for f, name in enumerate(self.names)
            if not level_F[f]
        }
        if len(self.together.sensors) > 1 and not self.together.heard:
            reasons[TOGETHER] = self.together.reason
        return {**reasons, **{name: short for name, heard in zip(self.names, scale_F, strict=True) if not heard}}

    def detectable_shifts(self) -> dict[str, float]:
        """The shift, in a feature's deviations, that shows once it lasts as long as the reference."""
        kappa_F = np.sqrt(self.ess_F * self.information_F / np.maximum(1, self.known_F))
        shift_F = DETECTABLE * np.sqrt(self.omega_CF[0] * 2 / np.maximum(1, self.known_F)) / np.maximum(1e-9, kappa_F)
        return {name: float(shift_F[f]) for f, name in enumerate(self.names) if self.heard_CF[0, f] and kappa_F[f] > 0}

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """As named arrays for an npz file."""
        arrays: dict[str, NDArray[Any]] = {}
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, Whitening | Ranking | Past | Together):
                arrays |= {f"{field.name}.{part.name}": np.asarray(getattr(value, part.name)) for part in fields(value)}
            else:
                arrays[field.name] = np.asarray(value)
        return arrays

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> "Calibration":
        """What `to_arrays` gave."""
        plain: dict[str, Any] = {field.name: arrays[field.name] for field in fields(cls) if field.name in arrays}
        ranking: dict[str, Any] = {part.name: arrays[f"ranking.{part.name}"] for part in fields(Ranking)}
        ranking["block_rows"] = int(ranking["block_rows"])
        plain |= {
            "names": tuple(str(name) for name in arrays["names"]),
            "rows": int(arrays["rows"]),
            "ordered": bool(arrays["ordered"]),
            "whitening": Whitening(*(arrays[f"whitening.{part.name}"] for part in fields(Whitening))),
            "ranking": Ranking(**ranking),
            "past": Past(*(arrays[f"past.{part.name}"] for part in fields(Past))),
            "together": Together.from_arrays({part.name: arrays[f"together.{part.name}"] for part in fields(Together)}),
        }
        return cls(**plain)


def calibrate(
    values: Mapping[str, Floats],
    batch_rows: int,
    periods: tuple[float, ...] = PERIODS,
    ordered: bool = True,
    sensors: Sequence[str] | None = None,
) -> Calibration:
    """Learn from a reference what later batches look like as long as nothing changes.

    values: (R,) readings of each feature in order of time, NaN where one is missing. batch_rows: how many rows a later
    batch is expected to have. periods: of the season, in rows. ordered: False for rows without an order in time, which
    must come shuffled. sensors: the features that are also watched together; all if None. Source: prewhitening of
    autocorrelated charts (Alwan and Roberts 1988), scores by rank.
    """
    values_NF = readings(values)
    whitening = fit_whitening(values_NF, batch_rows, periods) if ordered else plain_whitening(values_NF)
    before_PF, block_F = whitening.no_lags, np.full(len(values), np.nan)
    standard_NF = whitening.standardise(values_NF, 0)
    innovations_NF = whitening.innovations(standard_NF, before_PF)
    ranking = fit_ranking(innovations_NF, batch_rows, ordered)
    level_NF, size_F = ranking.level_ranks(innovations_NF, ranking.size_F)
    scale_NF, block_F = ranking.scale_ranks(innovations_NF, block_F)
    scores_CNF = np.stack([level_NF, scale_NF])
    lags_PF = np.concatenate([before_PF, standard_NF])[-whitening.lags :]
    runs_NF = equal_runs(values_NF, np.full(len(values), np.nan), np.zeros(len(values)))
    known_F = np.isfinite(values_NF).sum(0).astype(np.float64)
    ess_F = known_F * np.maximum(0, 1 - whitening.corrected_F) ** 2 / variances(whitening.partials_FP)[:, -1]
    information_F = _information(ranking, innovations_NF)
    omega_CF = np.maximum(1, [[_long_run(a_N, ordered) for a_N in a_NF.T] for a_NF in scores_CNF])
    omega_CF[0] *= 1 + 2 * information_F / np.maximum(LEAST_ESS, ess_F)
    return Calibration(
        names=tuple(values),
        rows=len(values_NF),
        ordered=ordered,
        whitening=whitening,
        ranking=ranking,
        past=Past(lags_PF, size_F, block_F, values_NF[-1], runs_NF[-1]),
        known_F=known_F,
        ess_F=ess_F,
        information_F=information_F,
        omega_CF=omega_CF,
        sums_CF=np.nansum(scores_CNF, 1),
        counts_CF=np.isfinite(scores_CNF).sum(1).astype(np.float64),
        longest_F=runs_NF.max(0),
        repeats_F=((runs_NF > 1).sum(0) + 3) / (known_F + 3),
        together=fit_together(level_NF, [f for f, name in enumerate(values) if sensors is None or name in sensors]),
    )


def readings(values: Mapping[str, Floats]) -> Floats:
    """The features side by side, (N, F), with NaN for all that is not finite."""
    values_NF = np.column_stack([np.asarray(values_N, dtype=np.float64) for values_N in values.values()])
    values_NF[~np.isfinite(values_NF)] = np.nan
    return values_NF


def equal_runs(values_NF: Floats, last_F: Floats, run_F: Floats) -> Floats:
    """How many times each reading has been read in a row, going on from the last reading before."""
    joined = np.concatenate([last_F[None], values_NF])
    same_NF = joined[1:] == joined[:-1]
    if not same_NF.any():
        return np.ones_like(values_NF)
    index = np.arange(len(joined))[:, None]
    repeated = np.concatenate([np.ones_like(last_F[None], dtype=bool), same_NF])
    started = np.maximum.accumulate(np.where(repeated, 0, index))
    return (index - started + np.where(started, 1, run_F))[1:].astype(np.float64)


def _information(ranking: Ranking, innovations_NF: Floats) -> Floats:
    """By how many deviations of theirs the scores move when the innovations move by one of theirs, squared."""
    step_F = STEP * np.array([np.std(known_values(e_N)) if np.isfinite(e_N).any() else 0.0 for e_N in innovations_NF.T])
    above_NF, _ = ranking.level_ranks(innovations_NF + step_F, ranking.size_F)
    below_NF, _ = ranking.level_ranks(innovations_NF - step_F, ranking.size_F)
    counts_F = np.maximum(1, np.isfinite(above_NF).sum(0))
    return (np.nansum(above_NF - below_NF, 0) / counts_F / (2 * STEP)) ** 2


def _long_run(scores_N: Floats, ordered: bool) -> float:
    """The variance of sums of scores, as a share of independent ones'."""
    known_N = known_values(scores_N)
    return long_run_variance(known_N, LARGEST_ORDER if ordered else 0) if len(known_N) >= 2 else 1.0
