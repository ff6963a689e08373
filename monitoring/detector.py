"""Whether the batches since the reference differ from it, with a budget of false alarms over all of them.

Shapes: N rows, P lags, F features, C = 2 channels (level, scale), L bets.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from monitoring.autoregression import Floats
from monitoring.calibration import Calibration, Past, equal_runs, readings
from monitoring.evidence import DriftEvidence, weigh

BETS_L = np.array([sign * size for size in (0.05, 0.1, 0.2, 0.4, 0.8, 1.6) for sign in (1, -1)])
LARGEST_STEP = 12.0
YEARLY_LIMIT = 365 / 0.05
"""A check a day, and in one of twenty years a false alarm."""
FLATLINE_SHARE = 0.01
"""Of the budget of false alarms."""


@dataclass(frozen=True)
class DetectorState:
    """What is carried from batch to batch.

    rows: since the reference. sums_CF, counts_CF: of all scores so far, the reference's among them.
    wealth_CFL: log(1 + M) of each bet's e-detector M, which starts at zero.
    """

    checks: int
    rows: int
    past: Past
    sums_CF: Floats
    counts_CF: Floats
    wealth_CFL: Floats

    @classmethod
    def start(cls, calibration: Calibration) -> "DetectorState":
        """Before the first batch after the reference."""
        sums_CF, counts_CF = calibration.sums_CF, calibration.counts_CF
        return cls(0, 0, calibration.past, sums_CF, counts_CF, np.zeros((*sums_CF.shape, len(BETS_L))))

    def to_json(self) -> dict[str, Any]:
        """As plain lists, None where there is no value."""
        arrays = {"sums_CF": self.sums_CF, "counts_CF": self.counts_CF, "wealth_CFL": self.wealth_CFL}
        past = {name: _plain(values) for name, values in vars(self.past).items()}
        plain = {name: _plain(values) for name, values in arrays.items()}
        return {"checks": self.checks, "rows": self.rows, "past": past, **plain}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "DetectorState":
        """What `to_json` gave."""
        past = Past(**{name: np.array(values, dtype=np.float64) for name, values in content["past"].items()})
        arrays = (np.array(content[name], dtype=np.float64) for name in ("sums_CF", "counts_CF", "wealth_CFL"))
        return cls(content["checks"], content["rows"], past, *arrays)


def check(
    calibration: Calibration,
    state: DetectorState,
    values: Mapping[str, Floats],
    limit: float = YEARLY_LIMIT,
    contiguous: bool = True,
) -> tuple[DetectorState, DriftEvidence]:
    """Add a batch to the evidence that the stream has changed since the reference.

    values: (N,) readings of each feature in order of time, NaN where one is missing. limit: checks in the horizon
    divided by the false alarms allowed in it. contiguous: whether the batch follows the one before without a gap;
    the season goes on by rows either way, so batches with gaps between them want a calibration without periods.
    Raises ValueError for a batch without rows. Source: e-detectors (Shin, Ramdas and Rinaldo 2022) that bet on
    recursive residuals.
    """
    values_NF = readings({name: values[name] for name in calibration.names})
    if not len(values_NF):
        raise ValueError("a batch without rows cannot be checked")
    before = state.past if contiguous else _without_lags(state.past)
    scores_CNF, past = _score(calibration, values_NF, state.rows, before)
    sums_CF, counts_CF = np.nansum(scores_CNF, 1), np.isfinite(scores_CNF).sum(1)
    grown_CFL = BETS_L * _residuals(calibration, state, sums_CF, counts_CF)[..., None] - BETS_L**2 / 2
    wealth_CFL = np.where(counts_CF[..., None] > 0, np.logaddexp(0, state.wealth_CFL + grown_CFL), state.wealth_CFL)
    after = DetectorState(
        checks=state.checks + 1,
        rows=state.rows + len(values_NF),
        past=past,
        sums_CF=state.sums_CF + sums_CF,
        counts_CF=state.counts_CF + counts_CF,
        wealth_CFL=wealth_CFL,
    )
    flat = _flatlines(calibration, values_NF, before, limit) if calibration.ordered else ()
    silent = tuple(
        name for name, values_N in zip(calibration.names, values_NF.T, strict=True) if not np.isfinite(values_N).any()
    )
    return after, weigh(calibration, wealth_CFL, limit, flat, silent)


def _without_lags(past: Past) -> Past:
    unknown_F = np.full_like(past.last_F, np.nan)
    return replace(past, lags_PF=np.full_like(past.lags_PF, np.nan), block_F=unknown_F, last_F=unknown_F)


def _score(calibration: Calibration, values_NF: Floats, rows: int, before: Past) -> tuple[Floats, Past]:
    """Level and scale scores, (C, N, F), and what the next batch needs."""
    whitening, ranking = calibration.whitening, calibration.ranking
    standard_NF = whitening.standardise(values_NF, calibration.rows + rows)
    innovations_NF = whitening.innovations(standard_NF, before.lags_PF)
    level_NF, size_F = ranking.level_ranks(innovations_NF, before.size_F)
    scale_NF, block_F = ranking.scale_ranks(innovations_NF, before.block_F)
    lags_PF = np.concatenate([before.lags_PF, standard_NF])[-whitening.lags :]
    runs_NF = equal_runs(values_NF, before.last_F, before.run_F)
    last_F = np.concatenate([before.last_F[None], values_NF])[-1]
    run_F = np.concatenate([before.run_F[None], runs_NF])[-1]
    return np.stack([level_NF, scale_NF]), Past(lags_PF, size_F, block_F, last_F, run_F)


def _residuals(calibration: Calibration, state: DetectorState, sums_CF: Floats, counts_CF: Floats) -> Floats:
    """How far the batch's mean scores lie from the mean of all before, in deviations; zero without scores."""
    rows_CF = np.maximum(1, counts_CF)
    earlier_CF = np.maximum(1, state.counts_CF)
    distance_CF = sums_CF / rows_CF - state.sums_CF / earlier_CF
    deviation_CF = np.sqrt(calibration.omega_CF * (1 / rows_CF + 1 / earlier_CF))
    return np.where(counts_CF > 0, np.clip(distance_CF / deviation_CF, -LARGEST_STEP, LARGEST_STEP), 0)


def _flatlines(calibration: Calibration, values_NF: Floats, before: Past, limit: float) -> tuple[str, ...]:
    """Features that repeat a reading longer than in the reference, by more than chance adds within the horizon."""
    runs_NF = equal_runs(values_NF, before.last_F, before.run_F)
    tries = limit / FLATLINE_SHARE * max(1, values_NF.size)
    repeats_F = np.minimum(calibration.repeats_F, 1 - 1e-9)
    longest_F = calibration.longest_F + np.ceil(np.log(tries) / -np.log(repeats_F))
    flat_F = (runs_NF > longest_F).any(0) & calibration.heard_CF[1]
    return tuple(name for name, flat in zip(calibration.names, flat_F, strict=True) if flat)


def _plain(values: Floats) -> list[Any]:
    plain = values.astype(object)
    plain[np.isnan(values)] = None
    return plain.tolist()
