"""What happened to a batch: a sensor's fault, a moved process, another meaning of the target, something seen before.

Pure: from a batch's readings, the stored regimes and the champion's losses to a cause in words. Shapes: N rows,
F features.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from monitoring.case import LEAST_BATCHES, LEAST_DISTINCT, LEAST_READINGS, MOST_FAULTY, Case
from monitoring.causes import Cause, Losses, Readings, Triage
from monitoring.regimes import Regimes, first_regime
from monitoring.sketches import Floats, run_lengths, sketch_batch

STUCK_SHARE = 0.1
"""Of a channel's rows: fewer that stand still are set aside and decide nothing."""
LEAP_SHARE, LEAST_LEAPS = 0.01, 3
FLAT_ODDS = 1e8
OUTLANDISH = 5.0
"""In ranges of all that a sensor ever read."""


def triage(
    regimes: Regimes | None,
    number: int,
    names: Sequence[str],
    values_NF: Floats,
    losses: Losses | None,
    suspects: Sequence[str] = (),
    ordered: bool = True,
) -> tuple[Triage, Regimes]:
    """Name what happened to a batch, and what to remember of it.

    names: of the features; values_NF: their readings in order of time, NaN where one is missing. suspects: sensors that
    validation found fault with. ordered: whether the rows' order means anything. Rows of `Readings` count from 0.
    What is set aside is not remembered either.
    """
    broken = {names.index(name): "breaks what validation expects of a sensor" for name in suspects}
    stuck_NF = np.zeros(values_NF.shape, dtype=bool)
    if regimes is not None:
        stuck_NF |= outlandish_readings(regimes, values_NF)
        stuck_NF |= stuck_readings(regimes, values_NF) if ordered else False
    stuck_NF[:, list(broken)] = True
    cleaned_NF = np.where(stuck_NF, np.nan, values_NF)
    batch = sketch_batch(cleaned_NF)
    if regimes is None:
        return _named(FIRST, names, stuck_NF, stuck_NF, broken), first_regime(number, batch)
    case = Case(regimes, number, tuple(names), batch, losses)
    latest = case.move_from(regimes.latest)
    base, faulty = case.base_of(latest), {**case.dead(stuck_NF), **broken}
    if regimes.batches >= LEAST_BATCHES:
        strangers = case.unexplained(latest) if base is None else case.strangers(base, latest)
        misread = {} if strangers else case.misread(base, latest)
        strangers = {**strangers, **misread}
        base, faulty = regimes.latest if base is None and strangers else base, {**faulty, **strangers}
    leaps_NF = case.leaps(base, tuple(faulty))
    often = np.flatnonzero(leaps_NF.sum(0) >= max(LEAST_LEAPS, LEAP_SHARE * len(leaps_NF))).tolist()
    if len(often) > MOST_FAULTY:  # then it is the process that jerks
        often, leaps_NF = [], np.zeros_like(leaps_NF)
    faulty |= {f: f"leaps {int(leaps_NF[:, f].sum())} times from what the others say" for f in often}
    wrong_NF = stuck_NF | leaps_NF
    wrong_NF[:, list(faulty)] = True
    found = case.cause(base, latest)
    gap = losses.gap if losses is not None and not faulty else None
    usual = found.cause == "none"
    remembered = sketch_batch(np.where(wrong_NF, np.nan, values_NF))
    return _named(found, names, wrong_NF, stuck_NF, faulty), regimes.absorb(number, remembered, base, gap, usual)


def stuck_readings(regimes: Regimes, values_NF: Floats) -> NDArray[np.bool_]:
    """Readings of sensors that repeat one longer than ever, by more than chance adds, (N, F)."""
    repeats_F = np.minimum((regimes.repeats_F + 3) / (regimes.known_F + 3), 1 - 1e-9)
    longest_F = regimes.longest_F + np.ceil(np.log(FLAT_ODDS) / -np.log(repeats_F))
    longest_F[(regimes.distinct_F < LEAST_DISTINCT) | (regimes.known_F < LEAST_READINGS)] = np.inf
    return run_lengths(values_NF) > longest_F


def outlandish_readings(regimes: Regimes, values_NF: Floats) -> NDArray[np.bool_]:
    """Readings many times as far off as a sensor ever ranged, of a few sensors alone, (N, F).

    A process that went so far would take more of them along.
    """
    low_F, high_F = regimes.low_GF.min(0), regimes.high_GF.max(0)
    reach_F = OUTLANDISH * (high_F - low_F)
    reach_F[(regimes.distinct_F < LEAST_DISTINCT) | (regimes.known_F < LEAST_READINGS)] = np.inf
    wild_NF = (values_NF < low_F - reach_F) | (values_NF > high_F + reach_F)
    return wild_NF if wild_NF.any(0).sum() <= MOST_FAULTY else np.zeros_like(wild_NF)


def _named(
    found: Triage,
    names: Sequence[str],
    wrong_NF: NDArray[np.bool_],
    stuck_NF: NDArray[np.bool_],
    faulty: Mapping[int, str],
) -> Triage:
    """The triage with the sensors at fault, which decide where more than a few of their readings are wrong."""
    spans = {f: _spans(wrong_NF[:, f]) for f in np.flatnonzero(wrong_NF.any(0)).tolist()}
    if not spans:
        return found
    set_aside = tuple(Readings(names[f], first, last) for f, parts in spans.items() for first, last in parts)
    said = {f: faulty.get(f) or f"is wrong in {int(wrong_NF[:, f].sum())} rows" for f in spans}
    reason = "; ".join(f"{names[f]} {why}" for f, why in said.items())
    wrong = [f for f in spans if f in faulty or stuck_NF[:, f].mean() >= STUCK_SHARE]
    if wrong:
        also: tuple[Cause, ...] = () if found.cause == "none" else (found.cause,)
        return Triage("sensor_fault", tuple(names[f] for f in wrong), reason, (*also, *found.also), set_aside)
    return replace(found, reason=f"{found.reason}; {reason}", also=(*found.also, "sensor_fault"), set_aside=set_aside)


def _spans(wrong_N: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """First and last row of each run of wrong readings."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], wrong_N, [False]]).astype(np.int8)))
    return [(int(first), int(end) - 1) for first, end in edges.reshape(-1, 2)]


FIRST = Triage("none", (), "the first batch: there is nothing to compare it with")
