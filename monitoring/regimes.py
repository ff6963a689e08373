"""Stored regimes: what earlier batches looked like, in numbers that do not grow with their rows or their count.

Shapes: N rows, F features, B blocks, G stored regimes.
"""

import io
import math
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np

from monitoring.relations import Relations, first_relations
from monitoring.sketches import BatchSketch, Floats, row_patterns, sketch_batch

MOST_REGIMES = 24
"""Then the two that are most alike become one."""
STRETCHES = 8
USUAL_WANDER, WANDER_WEIGHT = 0.1, 4.0
"""In deviations, and how many batches' worth of belief: how far a level moves from batch to batch of itself."""
MOST_GAPS = MOST_SPREADS = 20
TOLD = 0.5
"""The share of a channel that others leave unsaid, from which on they cannot say where it should be."""
MOST_PATTERNS = 32
LEAST_READINGS = 10
LEAST_STRETCH, STRAYING = 16, 3 / 8


@dataclass(frozen=True)
class Regimes:
    """The regimes that were seen, and what they have in common: how channels follow one another and wander.

    seen_G: the latest batch of each regime. latest: the index of the one that
    the newest batch belongs to. The pooled parts forget slowly; wander_F: squared moves from batch to batch, summed,
    in deviations; wander_weight: how many there were. spreads_BF: logarithms of how far each channel strayed from what
    the others said, against the usual, in the latest batches. gaps: the champion's losses on batches that nothing had
    happened to, less what its held-out rows promised.
    """

    batches: int
    rows: int
    seen_G: Floats
    rows_G: Floats
    mean_GF: Floats
    low_GF: Floats
    high_GF: Floats
    gap_G: Floats
    latest: int
    relations: Relations
    wander_F: Floats
    wander_weight: float
    spreads_BF: Floats
    known_F: Floats
    longest_F: Floats
    repeats_F: Floats
    distinct_F: Floats
    leap_F: Floats
    gaps: Floats
    released: Floats

    def chance_FF(self, rows: float, base: int, moves: float = 1.0) -> Floats:
        """Covariance, in deviations, of the difference between a batch's mean and a regime's that chance makes.

        moves: over how many batches the level has had time to wander.
        """
        wander_F = (USUAL_WANDER**2 * WANDER_WEIGHT + self.wander_F) / (WANDER_WEIGHT + self.wander_weight)
        slow_FF = self.relations.slow_per_row_FF
        return slow_FF * (1 / rows + 1 / self.rows_G[base]) + np.diag(moves * wander_F + 1e-4)

    def strays_NF(self, batch: BatchSketch, base: int, without: Sequence[int] = ()) -> Floats:
        """How far each reading strays from what the others say, in what is usual, (N, F); 0 where it is missing.

        Also 0 in rows whose missing readings are of no frequent pattern, which would each ask for weights of their own.
        """
        # The latest regime was just here; another one has worn since, so that only the batch itself says where it is.
        centre_F = self.mean_GF[base] if base == self.latest else batch.mean_F
        scaled_NF = (batch.values_NF - centre_F) / self.relations.deviation_F
        strays_NF, missing_NF = np.zeros_like(scaled_NF), ~np.isfinite(scaled_NF)
        patterns_PF, kind_N = row_patterns(missing_NF)
        for number in np.argsort(-np.bincount(kind_N))[:MOST_PATTERNS]:
            missing_F = patterns_PF[number]
            silent = sorted({*without, *np.flatnonzero(missing_F).tolist()})
            told_NF = np.where(missing_F, 0.0, scaled_NF[kind_N == number])
            strays_NF[kind_N == number] = np.where(missing_F, 0.0, told_NF @ self.relations.stray_weights(silent).T)
        # Where the others say little of a channel, they do not say where it should be either.
        untold_F = self.relations.said_by_others(without)[1] >= TOLD
        level_F = strays_NF.sum(0) / np.maximum(1, (~missing_NF).sum(0))
        return np.where(missing_NF, 0.0, strays_NF - np.where(untold_F, level_F, 0.0))

    def scatter_F(self, batch: BatchSketch, base: int, without: Sequence[int] = ()) -> Floats:
        """How many times farther each channel strays from what the others say than it used to, as a variance.

        It must do so in three of eight stretches of the batch: a price may leap once.
        """
        squares_NF = np.square(self.strays_NF(batch, base, without))
        stretches = max(1, min(STRETCHES, batch.rows // LEAST_STRETCH))
        means_BF = np.array([part.mean(0) for part in np.array_split(squares_NF, stretches)])
        return np.asarray(np.sort(means_BF, axis=0)[-math.ceil(STRAYING * stretches)], dtype=np.float64) + 1e-6

    def absorb(
        self, number: int, batch: BatchSketch, base: int | None, gap: float | None = None, usual: bool = False
    ) -> "Regimes":
        """The regimes after a sound batch: part of the regime `base` that it continues, or, for None, a new one.

        gap: of the champion's loss on it; None where there is none. usual: whether nothing happened to the batch.
        """
        wander_F, wander_weight = self.wander_F, self.wander_weight
        if base is not None and base == self.latest:
            moved_F = (batch.mean_F - self.mean_GF[base]) / self.relations.deviation_F
            slow_F = np.diag(self.relations.slow_FF) / self.relations.weight / self.relations.deviation_F**2
            noise_F = slow_F * (1 / batch.rows + 1 / self.rows_G[base])
            wander_F, wander_weight = wander_F + np.maximum(0, moved_F**2 - noise_F), wander_weight + 1
        batch = self._filled_in(batch, self.latest if base is None else base)
        pooled = replace(
            self,
            batches=self.batches + 1,
            rows=self.rows + batch.rows,
            relations=self.relations.after(batch),
            wander_F=wander_F,
            wander_weight=wander_weight,
            spreads_BF=self.spreads_BF if base is None else self._spreads_after(batch, base),
            known_F=self.known_F + batch.known_F,
            longest_F=np.maximum(self.longest_F, batch.longest_F),
            repeats_F=self.repeats_F + batch.repeats_F,
            distinct_F=np.maximum(self.distinct_F, batch.distinct_F),
            leap_F=self.leap_F if base is None else np.maximum(self.leap_F, self._leap_F(batch, base)),
            gaps=np.append(self.gaps, gap)[-MOST_GAPS:] if usual and gap is not None else self.gaps,
        )
        return pooled._filed(number, batch, base, 0.0 if gap is None else gap)

    def _spreads_after(self, batch: BatchSketch, base: int) -> Floats:
        return np.vstack([self.spreads_BF, np.log(self.scatter_F(batch, base))])[-MOST_SPREADS:]

    def _leap_F(self, batch: BatchSketch, base: int) -> Floats:
        return np.asarray(np.abs(self.strays_NF(batch, base)).max(0), dtype=np.float64)

    def _filled_in(self, batch: BatchSketch, base: int) -> BatchSketch:
        """The sketch with what the other channels and a regime say of missing readings.

        One step of expectation-maximisation (Dempster et al. 1977), so that relations stay a covariance.
        """
        missing_NF = ~np.isfinite(batch.values_NF)
        if not missing_NF.any():
            return batch
        relations = self.relations
        scaled_NF = (batch.values_NF - self.mean_GF[base]) / relations.deviation_F
        rest_FF = np.zeros_like(relations.within_FF)
        patterns_PF, kind_N = row_patterns(missing_NF)
        for number, missing_F in enumerate(patterns_PF):
            rows_N, known, unknown = kind_N == number, np.flatnonzero(~missing_F), np.flatnonzero(missing_F)
            across_KU = relations.correlations_FF[np.ix_(known, unknown)]
            slopes_KU = np.linalg.solve(relations.relations_FF[np.ix_(known, known)], across_KU)
            scaled_NF[np.ix_(rows_N, unknown)] = scaled_NF[np.ix_(rows_N, known)] @ slopes_KU
            left_UU = relations.correlations_FF[np.ix_(unknown, unknown)] - slopes_KU.T @ across_KU
            rest_FF[np.ix_(unknown, unknown)] += left_UU * rows_N.mean()
        filled = sketch_batch(scaled_NF * relations.deviation_F + self.mean_GF[base])
        return replace(
            filled,
            known_F=batch.known_F,
            longest_F=batch.longest_F,
            repeats_F=batch.repeats_F,
            distinct_F=batch.distinct_F,
            within_FF=filled.within_FF + rest_FF * np.outer(relations.deviation_F, relations.deviation_F),
        )

    def _filed(self, number: int, batch: BatchSketch, base: int | None, gap: float) -> "Regimes":
        if base is None:
            return replace(
                self,
                seen_G=np.append(self.seen_G, number),
                rows_G=np.append(self.rows_G, batch.rows),
                mean_GF=np.vstack([self.mean_GF, batch.mean_F]),
                low_GF=np.vstack([self.low_GF, batch.low_F]),
                high_GF=np.vstack([self.high_GF, batch.high_F]),
                gap_G=np.append(self.gap_G, gap),
                latest=len(self.seen_G),
            )._capped()
        # The level follows the latest batch: a regime that wears is met where it was left.
        seen_G, rows_G, mean_GF = self.seen_G.copy(), self.rows_G.copy(), self.mean_GF.copy()
        low_GF, high_GF = self.low_GF.copy(), self.high_GF.copy()
        seen_G[base], rows_G[base], mean_GF[base] = number, batch.rows, batch.mean_F
        low_GF[base] = np.minimum(low_GF[base], batch.low_F)
        high_GF[base] = np.maximum(high_GF[base], batch.high_F)
        gap_G = self.gap_G.copy()
        gap_G[base] = gap
        return replace(
            self,
            seen_G=seen_G,
            rows_G=rows_G,
            mean_GF=mean_GF,
            low_GF=low_GF,
            high_GF=high_GF,
            gap_G=gap_G,
            latest=base,
        )

    def _capped(self) -> "Regimes":
        """With more regimes than are kept, the older of the two most alike is left out."""
        if len(self.seen_G) <= MOST_REGIMES:
            return self
        scaled_GF = self.mean_GF / self.relations.deviation_F
        far_GG = ((scaled_GF[:, None] - scaled_GF[None]) ** 2).sum(2) + np.diag(np.full(len(scaled_GF), np.inf))
        pair = np.unravel_index(int(far_GG.argmin()), far_GG.shape)
        gone = int(min(pair, key=lambda g: self.seen_G[g]))
        keep = np.delete(np.arange(len(self.seen_G)), gone)
        return replace(
            self,
            seen_G=self.seen_G[keep],
            rows_G=self.rows_G[keep],
            mean_GF=self.mean_GF[keep],
            low_GF=self.low_GF[keep],
            high_GF=self.high_GF[keep],
            gap_G=self.gap_G[keep],
            latest=self.latest - (gone < self.latest),
        )

    def save(self) -> bytes:
        """As an npz file."""
        buffer = io.BytesIO()
        arrays: dict[str, Any] = {name: np.asarray(getattr(self, name)) for name in _OWN}
        arrays |= {name: np.asarray(getattr(self.relations, name)) for name in _POOLED}
        np.savez_compressed(buffer, **arrays)
        return buffer.getvalue()

    @classmethod
    def load(cls, content: bytes) -> "Regimes":
        """What `save` wrote."""
        with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
            found: dict[str, Any] = {name: arrays[name] for name in (*_OWN, *_POOLED)}
        found = {name: value.item() if value.ndim == 0 else value for name, value in found.items()}
        relations = Relations(**{name: found.pop(name) for name in _POOLED})
        return cls(relations=relations, **found)


_POOLED = tuple(field.name for field in fields(Relations))
_OWN = tuple(field.name for field in fields(Regimes) if field.name != "relations")


def first_regime(number: int, batch: BatchSketch) -> Regimes:
    """What is stored after the first batch."""
    nothing_F = np.zeros_like(batch.mean_F)
    return Regimes(
        batches=1,
        rows=batch.rows,
        seen_G=np.array([number], dtype=np.float64),
        rows_G=np.array([batch.rows], dtype=np.float64),
        mean_GF=batch.mean_F[None],
        low_GF=batch.low_F[None],
        high_GF=batch.high_F[None],
        gap_G=np.zeros(1),
        latest=0,
        relations=first_relations(batch),
        wander_F=nothing_F,
        wander_weight=0.0,
        spreads_BF=nothing_F[None, :][:0],
        known_F=batch.known_F,
        longest_F=batch.longest_F,
        repeats_F=batch.repeats_F,
        distinct_F=batch.distinct_F,
        leap_F=nothing_F,
        gaps=np.empty(0),
        released=np.empty(0),
    )
