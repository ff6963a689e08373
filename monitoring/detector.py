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
from monitoring.ranking import Tally
from monitoring.together import Since, observe_together

BETS_L = np.array([sign * size for size in (0.05, 0.1, 0.2, 0.4, 0.8, 1.6) for sign in (1, -1)])
LARGEST_STEP = 12.0
YEARLY_LIMIT = 365 / 0.05
"""A check a day, and in one of twenty years a false alarm."""
FLATLINE_SHARE = 0.01
"""Of the budget of false alarms."""
PART_ROWS = 8_192
"""A longer batch is read in parts, so that what is worked on stays in the processor's cache."""
ROWS_TOGETHER = 20_000
"""Of a longer batch not every row is looked at for all sensors together: the reference is shorter."""


@dataclass(frozen=True)
class DetectorState:
    """What is carried from batch to batch.

    rows: since the reference. sums_CF, counts_CF: of all scores so far, the reference's among them.
    wealth_CFL: log(1 + M) of each bet's e-detector M, which starts at zero. together: the same of all sensors as one.
    """

    checks: int
    rows: int
    past: Past
    sums_CF: Floats
    counts_CF: Floats
    wealth_CFL: Floats
    together: Since

    @classmethod
    def start(cls, calibration: Calibration) -> "DetectorState":
        """Before the first batch after the reference."""
        sums_CF, counts_CF = calibration.sums_CF, calibration.counts_CF
        together = Since(np.zeros_like(calibration.together.sums_KK), 0, np.zeros(len(BETS_L)))
        return cls(0, 0, calibration.past, sums_CF, counts_CF, np.zeros((*sums_CF.shape, len(BETS_L))), together)

    def to_json(self) -> dict[str, Any]:
        """As plain lists, None where there is no value."""
        arrays = {"sums_CF": self.sums_CF, "counts_CF": self.counts_CF, "wealth_CFL": self.wealth_CFL}
        past = {name: _plain(values) for name, values in vars(self.past).items()}
        plain = {name: _plain(values) for name, values in arrays.items()}
        whole = {name: _plain(np.asarray(values, np.float64)) for name, values in vars(self.together).items()}
        return {"checks": self.checks, "rows": self.rows, "past": past, **plain, "together": whole}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "DetectorState":
        """What `to_json` gave."""
        past = Past(**{name: np.array(values, dtype=np.float64) for name, values in content["past"].items()})
        names = ("sums_CF", "counts_CF", "wealth_CFL")
        sums_CF, counts_CF, wealth_CFL = (np.array(content[name], dtype=np.float64) for name in names)
        whole = {name: np.array(values, dtype=np.float64) for name, values in content["together"].items()}
        together = Since(
            whole["sums_KK"].reshape(2 * whole["sums_KK"].shape[:1]), int(whole["count"]), whole["wealth_L"]
        )
        return cls(content["checks"], content["rows"], past, sums_CF, counts_CF, wealth_CFL, together)


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
    tallies, longest_F, past = _read(calibration, values_NF, state.rows, before)
    sums_CF, counts_CF = (np.sum([getattr(tally, name) for tally in tallies], 0) for name in ("sums_CF", "counts_CF"))
    grown_CFL = _grown(state.wealth_CFL, _residuals(calibration, state, sums_CF, counts_CF))
    sampled_NF = np.concatenate([tally.sampled_NF for tally in tallies])
    after = DetectorState(
        checks=state.checks + 1,
        rows=state.rows + len(values_NF),
        past=past,
        sums_CF=state.sums_CF + sums_CF,
        counts_CF=state.counts_CF + counts_CF,
        wealth_CFL=np.where(counts_CF[..., None] > 0, grown_CFL, state.wealth_CFL),
        together=_bet_together(calibration, state.together, sampled_NF),
    )
    flat = _flatlines(calibration, longest_F, values_NF.size, limit) if calibration.ordered else ()
    silent = tuple(name for name, known in zip(calibration.names, counts_CF.any(0).tolist(), strict=True) if not known)
    return after, weigh(calibration, after.wealth_CFL, after.together.wealth_L, limit, flat, silent)


def _grown(wealth: Floats, residuals: Floats) -> Floats:
    return np.logaddexp(0, wealth + BETS_L * residuals[..., None] - BETS_L**2 / 2)


def _bet_together(calibration: Calibration, since: Since, scores_NF: Floats) -> Since:
    distance, after = observe_together(calibration.together, since, scores_NF)
    if distance is None:
        return after
    clipped = np.clip(np.array(distance), -LARGEST_STEP, LARGEST_STEP)
    return replace(after, wealth_L=_grown(since.wealth_L, clipped))


def _read(calibration: Calibration, values_NF: Floats, rows: int, before: Past) -> tuple[list[Tally], Floats, Past]:
    """The scores of a batch by parts, the longest runs of equal readings, and what the next batch needs."""
    blocks = max(1, PART_ROWS // calibration.ranking.block_rows)
    part_rows, every = blocks * calibration.ranking.block_rows, -(-len(values_NF) // ROWS_TOGETHER)
    tallies, longest_F, past = list[Tally](), np.zeros(values_NF.shape[1]), before
    for start in range(0, len(values_NF), part_rows):
        part_NF = values_NF[start : start + part_rows]
        tally, runs_F, past = _score(calibration, part_NF, rows + start, past, every)
        tallies.append(tally)
        longest_F = np.maximum(longest_F, runs_F)
    return tallies, longest_F, past


def _without_lags(past: Past) -> Past:
    unknown_F = np.full_like(past.last_F, np.nan)
    return replace(past, lags_PF=np.full_like(past.lags_PF, np.nan), block_F=unknown_F, last_F=unknown_F)


def _score(
    calibration: Calibration, values_NF: Floats, rows: int, before: Past, every: int
) -> tuple[Tally, Floats, Past]:
    """The scores of some rows, their longest runs of equal readings, and what the next rows need."""
    whitening = calibration.whitening
    standard_NF = whitening.standardise(values_NF, calibration.rows + rows)
    innovations_NF = whitening.innovations(standard_NF, before.lags_PF)
    tally = calibration.ranking.tally(innovations_NF, before.size_F, before.block_F, every)
    lags_PF = np.concatenate([before.lags_PF, standard_NF])[-whitening.lags :]
    runs_NF = equal_runs(values_NF, before.last_F, before.run_F)
    return tally, runs_NF.max(0), Past(lags_PF, tally.size_F, tally.block_F, values_NF[-1], runs_NF[-1])


def _residuals(calibration: Calibration, state: DetectorState, sums_CF: Floats, counts_CF: Floats) -> Floats:
    """How far the batch's mean scores lie from the mean of all before, in deviations; zero without scores."""
    rows_CF = np.maximum(1, counts_CF)
    earlier_CF = np.maximum(1, state.counts_CF)
    distance_CF = sums_CF / rows_CF - state.sums_CF / earlier_CF
    deviation_CF = np.sqrt(calibration.omega_CF * (1 / rows_CF + 1 / earlier_CF))
    return np.where(counts_CF > 0, np.clip(distance_CF / deviation_CF, -LARGEST_STEP, LARGEST_STEP), 0)


def _flatlines(calibration: Calibration, longest_F: Floats, readings: int, limit: float) -> tuple[str, ...]:
    """Features that repeat a reading longer than in the reference, by more than chance adds within the horizon."""
    tries = limit / FLATLINE_SHARE * max(1, readings)
    repeats_F = np.minimum(calibration.repeats_F, 1 - 1e-9)
    allowed_F = calibration.longest_F + np.ceil(np.log(tries) / -np.log(repeats_F))
    flat_F = (longest_F > allowed_F) & calibration.heard_CF[1]
    return tuple(name for name, flat in zip(calibration.names, flat_F, strict=True) if flat)


def _plain(values: Floats) -> list[Any]:
    plain = values.astype(object)
    plain[np.isnan(values)] = None
    return plain.tolist()
