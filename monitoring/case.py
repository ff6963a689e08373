"""A batch beside the stored regimes: where it belongs, which sensors stand apart, whether the target means the same.

Shapes: N rows, F features, G stored regimes.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from monitoring.causes import Cause, Losses, Triage
from monitoring.moves import Move, explain
from monitoring.regimes import TOLD, Regimes
from monitoring.sketches import BatchSketch, Floats

LEAST_BATCHES = 4
"""Before so many sound batches a sensor that stands apart from the others is not yet called faulty."""
LEAST_DISTINCT = 10
"""A channel of fewer different readings counts or names something; it is no sensor."""
MOST_FAULTY = 3

LEAST_LEAP, MORE_THAN_EVER, MOST_LEAPS = 6.0, 1.3, 0.1
LOST_SHARE = 0.2
LEAST_MOVE, MISREAD_LIMIT = 0.3, 4.0
EXPLAINED = 0.1
NEW_SHARE, WIDENED = 0.5, 0.25
MOST_MOVES = 10.0
LEAST_READINGS = 10
MOST_LEADERS = 4
MOST_NAMED = 5
SPREAD_LIMIT, SPREAD_PRIOR, SPREAD_WEIGHT, ROWS_AS_ONE = 6.0, 0.25, 4.0, 5.0
LOSS_LIMIT, LOSS_PRIOR, LOSS_WEIGHT = 3.0, 0.12, 4.0


@dataclass(frozen=True)
class Case:
    """A batch beside the stored regimes."""

    regimes: Regimes
    number: int
    names: tuple[str, ...]
    batch: BatchSketch
    losses: Losses | None

    def cause(self, base: int | None, latest: Move) -> Triage:
        """What happened, sensors aside."""
        change, meaning = self.change(base), self.meaning(base)
        if change is not None:
            movers = self.movers(latest)
            worse: tuple[Cause, ...] = () if meaning is None else ("target",)
            return Triage(change, movers, self.said_of(change, base, movers, latest), worse)
        if meaning is not None:
            return Triage("target", (), meaning)
        return Triage("none", (), f"as before: misfit {latest.still.misfit:.0f}, chance makes {latest.limit:.0f}")

    @cached_property
    def mute_F(self) -> NDArray[np.bool_]:
        """Channels whose level or scatter cannot be told: too few readings, or names of something."""
        few_F = self.regimes.distinct_F < LEAST_DISTINCT
        return few_F | (self.batch.known_F < LEAST_READINGS) | (self.regimes.known_F < LEAST_READINGS)

    @cached_property
    def untold_F(self) -> NDArray[np.bool_]:
        """Channels of which the others say too little to say where they should be."""
        return self.regimes.relations.said_by_others(tuple(np.flatnonzero(self.mute_F).tolist()))[1] >= TOLD

    def move_from(self, base: int) -> Move:
        """The batch's levels against a regime's."""
        regimes, mute_F = self.regimes, self.mute_F
        size_F = np.where(mute_F, 0.0, (self.batch.mean_F - regimes.mean_GF[base]) / regimes.relations.deviation_F)
        chance_FF, relations_FF = self.chance_FF(base), regimes.relations.relations_FF.copy()
        for matrix_FF in (chance_FF, relations_FF):
            matrix_FF[mute_F] = matrix_FF[:, mute_F] = 0.0
            matrix_FF[mute_F, mute_F] = 1.0
        doubt_FF = np.where(mute_F | mute_F[:, None], 0.0, regimes.relations.doubt_FF)
        return explain(size_F, chance_FF, relations_FF, doubt_FF, ~self.untold_F & ~mute_F)

    def chance_FF(self, base: int) -> Floats:
        """Covariance of what chance and wandering since make of the batch's levels against a regime's."""
        waited = min(MOST_MOVES, max(1.0, self.number - float(self.regimes.seen_G[base])))
        return self.regimes.chance_FF(self.batch.rows, base, waited)

    def base_of(self, latest: Move) -> int | None:
        """The regime that the batch continues or comes back to, up to faulty sensors; None where it is another."""
        if not latest.moved or latest.faulty:
            return self.regimes.latest
        older = [g for g in range(len(self.regimes.seen_G)) if g != self.regimes.latest]
        moves = {g: self.move_from(g) for g in older}
        near = {
            g: move.still.misfit if not move.faulty else move.faults.cost
            for g, move in moves.items()
            if not move.moved or move.faulty or move.still.misfit <= EXPLAINED * latest.still.misfit
        }
        return min(near, key=lambda g: near[g]) if near else None

    def change(self, base: int | None) -> Cause | None:
        """What the process did, sensors aside."""
        if base is not None:
            return None if base == self.regimes.latest else "season"
        return "regime" if self.new_share() > NEW_SHARE else "covariate"

    def new_share(self) -> float:
        """The share of rows in which two channels or more read what no stored regime holds."""
        low_GF, high_GF = self.regimes.low_GF, self.regimes.high_GF
        margin_GF = WIDENED * (high_GF - low_GF)
        known_NF = np.zeros_like(self.batch.values_NF, dtype=bool)
        for low_F, high_F in zip(low_GF - margin_GF, high_GF + margin_GF, strict=True):
            known_NF |= (self.batch.values_NF >= low_F) & (self.batch.values_NF <= high_F)
        new_NF = ~known_NF & np.isfinite(self.batch.values_NF) & ~self.mute_F
        return float((new_NF.sum(1) >= 2).mean())

    def strangers(self, base: int, latest: Move) -> dict[int, str]:
        """Sensors that stand apart from the others, each with what shows it."""
        shifted = self.shifted(latest if base == self.regimes.latest else self.move_from(base))
        found = {**self.scattered(base, tuple(shifted)), **shifted}
        return found if len(found) <= MOST_FAULTY else {}

    def unexplained(self, latest: Move) -> dict[int, str]:
        """Sensors that moved by themselves where a process might have moved, too: the others would have told of it.

        A process that moves a channel leaves, of its move, the share that the others do not know; a fault leaves all.
        """
        weights_FF, left_F = self.regimes.relations.said_by_others(tuple(np.flatnonzero(self.mute_F).tolist()))
        found = self.scattered(self.regimes.latest, ())
        told = list(found)
        alone_F = np.abs(weights_FF @ latest.size_F) >= (1 + left_F) / 2 * np.abs(latest.size_F)
        return found if found and (left_F[told] < TOLD).all() and alone_F[told].all() else {}

    def misread(self, base: int | None, latest: Move) -> dict[int, str]:
        """Sensors of which the others say little, and without whose move the champion would err as it used to."""
        untold_F = self.untold_F & ~self.mute_F
        if base is None and untold_F[list(latest.process.features)].all():
            base = self.regimes.latest
        if self.losses is None or base is None:
            return {}
        size_F = (latest if base == self.regimes.latest else self.move_from(base)).size_F
        chance_F = np.sqrt(np.diag(self.chance_FF(base)))
        far_F = np.abs(size_F) >= np.maximum(LEAST_MOVE, MISREAD_LIMIT * chance_F)
        moved = [int(f) for f in np.flatnonzero(untold_F & far_F)]
        saved = {f: self.losses.told_by(f, float(size_F[f] * self.regimes.relations.deviation_F[f])) for f in moved}
        return {
            f: f"moved by {size_F[f]:+.1f} deviations, which makes {min(1, share):.0%} of what the champion loses more"
            for f, share in saved.items()
            if share is not None
        }

    def leaps(self, base: int | None, faulty: tuple[int, ...]) -> NDArray[np.bool_]:
        """Single readings far from what the others say, farther than any before, (N, F)."""
        nothing_NF = np.zeros(self.batch.values_NF.shape, dtype=bool)
        if base is None or self.regimes.batches < LEAST_BATCHES:
            return nothing_NF
        unheard = sorted({*faulty, *np.flatnonzero(self.mute_F).tolist()})
        strays_NF = np.abs(self.regimes.strays_NF(self.batch, base, unheard))
        strays_NF[:, unheard] = 0.0
        far_NF = strays_NF > np.maximum(LEAST_LEAP, MORE_THAN_EVER * self.regimes.leap_F)
        leads_NF = strays_NF == strays_NF.max(1, keepdims=True)
        leap_NF = far_NF & leads_NF & np.isfinite(self.batch.values_NF)
        return leap_NF & (leap_NF.mean(0) <= MOST_LEAPS)

    def dead(self, stuck_NF: NDArray[np.bool_]) -> dict[int, str]:
        """Sensors that read nothing in far more rows than usual, unless most do."""
        share_F, usual_F = (
            (self.batch.known_F + stuck_NF.sum(0)) / self.batch.rows,
            self.regimes.known_F / self.regimes.rows,
        )
        dead = np.flatnonzero(share_F < usual_F - LOST_SHARE)
        if len(dead) > max(MOST_FAULTY, len(self.names) // 3):
            return {}
        return {int(f): f"reads nothing in {1 - share_F[f]:.0%} of the rows" for f in dead}

    def shifted(self, move: Move) -> dict[int, str]:
        if not move.faulty or np.abs(move.size_F[list(move.faults.features)]).min() < LEAST_MOVE:
            return {}
        return {
            f: f"moved by {move.size_F[f]:+.1f} deviations, which the other sensors know nothing of"
            for f in move.faults.features
        }

    def scattered(self, base: int, gone: tuple[int, ...]) -> dict[int, str]:
        """Sensors that no longer follow the others, while those follow one another as before; beside those gone."""
        first_F, _ = self.scatter(base, ())
        excess_F = self.scatter(base, gone)[1]
        while excess_F.max() > 1 and len(gone) < MOST_FAULTY:
            leaders = np.argsort(-excess_F)[:MOST_LEADERS]
            tried = {int(f): self.scatter(base, (*gone, int(f)))[1] for f in leaders if excess_F[f] > 1}
            leader = min(tried, key=lambda f: float(tried[f].max()))
            gone, excess_F = (*gone, leader), tried[leader]
        if excess_F.max() > 1:
            return {}
        return {f: f"strays {np.sqrt(first_F[f]):.1f} times as far from what the others say as before" for f in gone}

    def scatter(self, base: int, without: tuple[int, ...]) -> tuple[Floats, Floats]:
        """How many times wider each channel scatters around the others, and that in multiples of what chance makes."""
        regimes, mute = self.regimes, tuple(int(f) for f in np.flatnonzero(self.mute_F) if f not in without)
        ratio_F = regimes.scatter_F(self.batch, base, (*without, *mute))
        spreads_BF, batches = regimes.spreads_BF, len(regimes.spreads_BF)
        expected_F = spreads_BF.sum(0) / (batches + 1)
        varied_F = np.square(spreads_BF - expected_F).sum(0)
        usual_F = (SPREAD_WEIGHT * SPREAD_PRIOR**2 + varied_F) / (SPREAD_WEIGHT + batches)
        chance_F = np.sqrt(usual_F + 2 * ROWS_AS_ONE / np.maximum(1, self.batch.known_F))
        excess_F = (np.log(np.maximum(ratio_F, 1e-9)) - expected_F) / (SPREAD_LIMIT * chance_F)
        excess_F[[*without, *mute]] = -np.inf
        return ratio_F, excess_F

    def meaning(self, base: int | None) -> str | None:
        """Whether the champion errs more than before, by more than blocks of rows and earlier batches vary."""
        if self.losses is None:
            return None
        gaps, gap = self.regimes.gaps, self.losses.gap
        usual = (LOSS_WEIGHT * LOSS_PRIOR**2 + float(((gaps - gaps.mean()) ** 2).sum() if len(gaps) else 0)) / (
            LOSS_WEIGHT + len(gaps)
        )
        expected = float(gaps.sum()) / (len(gaps) + 1)
        if base is not None:  # what the champion has not learned yet is no news the second time
            expected = max(expected, float(self.regimes.gap_G[base]))
        limit = expected + LOSS_LIMIT * float(np.sqrt(usual + self.losses.chance**2))
        if gap <= limit:
            return None
        return f"the inputs are as before, but the champion's losses rose by {gap:.0%}; up to {limit:.0%} is chance"

    def movers(self, move: Move) -> tuple[str, ...]:
        """The features that moved most, in deviations."""
        order = np.argsort(-np.abs(move.size_F))
        return tuple(self.names[f] for f in order[:MOST_NAMED] if abs(move.size_F[f]) >= LEAST_MOVE)

    def said_of(self, change: Cause, base: int | None, movers: tuple[str, ...], latest: Move) -> str:
        """The change in a sentence."""
        named = ", ".join(movers) or "many sensors a little"
        if change == "season" and base is not None:
            return f"{named} moved to where batch {self.regimes.seen_G[base]:.0f} was"
        if change == "regime":
            return f"{named} moved to where no batch ever was: {self.new_share():.0%} of the rows are new"
        return f"{named} moved: misfit {latest.still.misfit:.0f}, chance makes {latest.limit:.0f}"
