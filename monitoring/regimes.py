"""Stored regimes: what earlier batches looked like, in numbers that do not grow with their rows or their count.

Shapes: N rows, F features, B blocks, G stored regimes.
"""

import io
import math
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Any

import numpy as np

from monitoring.sketches import BatchSketch, Floats, row_patterns, sketch_batch

MOST_REGIMES = 24
"""Then the two that are most alike become one."""
STRETCHES = 8
USUAL_WANDER, WANDER_WEIGHT = 0.1, 4.0
"""In deviations, and how many batches' worth of belief: how far a level moves from batch to batch of itself."""
MEMORY = 0.9
"""What a batch's share of the pooled relations keeps with each later batch."""
RIDGE = 0.01
MOST_GAPS = MOST_SPREADS = 20
TOLD = 0.5
"""The share of a channel that others leave unsaid, from which on they cannot say where it should be."""
MOST_PATTERNS = 32
LEAST_SCATTER = 0.05
"""In deviations: channels that the others say all of scatter so far, give or take, for nothing worth a word."""
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
    within_FF: Floats
    slow_FF: Floats
    weight: float
    pooled_rows: float
    freedom: float
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

    @cached_property
    def deviation_F(self) -> Floats:
        """Each channel's deviation within a batch."""
        variance_F = np.diag(self.within_FF) / self.weight
        return np.sqrt(np.where(variance_F > 0, variance_F, 1.0))

    @cached_property
    def relations_FF(self) -> Floats:
        """Correlations within batches, with a little ridge."""
        return self.correlations_FF + RIDGE * np.eye(len(self.deviation_F))

    @cached_property
    def correlations_FF(self) -> Floats:
        """Correlations within batches."""
        return self.within_FF / self.weight / np.outer(self.deviation_F, self.deviation_F)

    @cached_property
    def doubt_FF(self) -> Floats:
        """Variance of the correlations within batches: slow channels show few independent rows."""
        inflated_F = np.clip(np.diag(self.slow_FF) / np.maximum(np.diag(self.within_FF), 1e-300), 1, self.pooled_rows)
        memory_F = (inflated_F - 1) / (inflated_F + 1)
        both_FF = np.outer(memory_F, memory_F)
        independent_FF = np.maximum(3.0, self.pooled_rows * (1 - both_FF) / (1 + both_FF))
        return (1 - np.minimum(1, self.relations_FF**2)) / independent_FF

    def chance_FF(self, rows: float, base: int, moves: float = 1.0) -> Floats:
        """Covariance, in deviations, of the difference between a batch's mean and a regime's that chance makes.

        moves: over how many batches the level has had time to wander.
        """
        scale_F, features = self.deviation_F, len(self.deviation_F)
        slow_FF = self.slow_FF / self.weight / np.outer(scale_F, scale_F)
        trust = self.freedom / (self.freedom + features)
        slow_F = np.sqrt(np.diag(slow_FF))
        slow_FF = trust * slow_FF + (1 - trust) * np.outer(slow_F, slow_F) * self.relations_FF
        wander_F = (USUAL_WANDER**2 * WANDER_WEIGHT + self.wander_F) / (WANDER_WEIGHT + self.wander_weight)
        return slow_FF * (1 / rows + 1 / self.rows_G[base]) + np.diag(moves * wander_F + 1e-4)

    def said_by_others(self, without: Sequence[int] = ()) -> tuple[Floats, Floats]:
        """Weights that take from each channel what the others say, (F, F), and the share of it that they leave, (F,).

        Regression of each channel on the others by the inverse of their correlations. without: those that say nothing.
        """
        precision_FF = np.asarray(np.linalg.inv(self.relations_FF), dtype=np.float64)
        for gone in without:
            lost_F = precision_FF[gone] / np.sqrt(precision_FF[gone, gone])
            precision_FF = precision_FF - np.outer(lost_F, lost_F)
            precision_FF[gone], precision_FF[:, gone], precision_FF[gone, gone] = 0.0, 0.0, 1.0
        left_F = 1 / np.diag(precision_FF)
        return precision_FF * left_F[:, None], left_F

    def strays_NF(self, batch: BatchSketch, base: int, without: Sequence[int] = ()) -> Floats:
        """How far each reading strays from what the others say, in what is usual, (N, F); 0 where it is missing.

        Also 0 in rows whose missing readings are of no frequent pattern, which would each ask for weights of their own.
        """
        # The latest regime was just here; another one has worn since, so that only the batch itself says where it is.
        centre_F = self.mean_GF[base] if base == self.latest else batch.mean_F
        scaled_NF = (batch.values_NF - centre_F) / self.deviation_F
        strays_NF, missing_NF = np.zeros_like(scaled_NF), ~np.isfinite(scaled_NF)
        patterns_PF, kind_N = row_patterns(missing_NF)
        for number in np.argsort(-np.bincount(kind_N))[:MOST_PATTERNS]:
            missing_F = patterns_PF[number]
            silent = sorted({*without, *np.flatnonzero(missing_F).tolist()})
            told_NF = np.where(missing_F, 0.0, scaled_NF[kind_N == number])
            strays_NF[kind_N == number] = np.where(missing_F, 0.0, told_NF @ self._stray_weights(tuple(silent)).T)
        # Where the others say little of a channel, they do not say where it should be either.
        untold_F = self.said_by_others(without)[1] >= TOLD
        level_F = strays_NF.sum(0) / np.maximum(1, (~missing_NF).sum(0))
        return np.where(missing_NF, 0.0, strays_NF - np.where(untold_F, level_F, 0.0))

    def _stray_weights(self, without: tuple[int, ...]) -> Floats:
        """What takes from each channel what the others say, in what usually is left, (F, F)."""
        weights_FF, _ = self.said_by_others(without)
        usual_F = np.einsum("fg,gh,fh->f", weights_FF, self.correlations_FF, weights_FF)
        return weights_FF / np.sqrt(usual_F + LEAST_SCATTER**2)[:, None]

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
            moved_F = (batch.mean_F - self.mean_GF[base]) / self.deviation_F
            noise_F = (
                np.diag(self.slow_FF) / self.weight / self.deviation_F**2 * (1 / batch.rows + 1 / self.rows_G[base])
            )
            wander_F, wander_weight = wander_F + np.maximum(0, moved_F**2 - noise_F), wander_weight + 1
        batch = self._filled_in(batch, self.latest if base is None else base)
        pooled = replace(
            self,
            batches=self.batches + 1,
            rows=self.rows + batch.rows,
            within_FF=MEMORY * self.within_FF + batch.within_FF,
            slow_FF=MEMORY * self.slow_FF + batch.slow_FF,
            weight=MEMORY * self.weight + 1,
            pooled_rows=MEMORY * self.pooled_rows + batch.rows,
            freedom=MEMORY * self.freedom + batch.slow_freedom,
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
        scaled_NF = (batch.values_NF - self.mean_GF[base]) / self.deviation_F
        rest_FF = np.zeros_like(self.within_FF)
        patterns_PF, kind_N = row_patterns(missing_NF)
        for number, missing_F in enumerate(patterns_PF):
            rows_N, known, unknown = kind_N == number, np.flatnonzero(~missing_F), np.flatnonzero(missing_F)
            across_KU = self.correlations_FF[np.ix_(known, unknown)]
            slopes_KU = np.linalg.solve(self.relations_FF[np.ix_(known, known)], across_KU)
            scaled_NF[np.ix_(rows_N, unknown)] = scaled_NF[np.ix_(rows_N, known)] @ slopes_KU
            left_UU = self.correlations_FF[np.ix_(unknown, unknown)] - slopes_KU.T @ across_KU
            rest_FF[np.ix_(unknown, unknown)] += left_UU * rows_N.mean()
        filled = sketch_batch(scaled_NF * self.deviation_F + self.mean_GF[base])
        return replace(
            filled,
            known_F=batch.known_F,
            longest_F=batch.longest_F,
            repeats_F=batch.repeats_F,
            distinct_F=batch.distinct_F,
            within_FF=filled.within_FF + rest_FF * np.outer(self.deviation_F, self.deviation_F),
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
        scaled_GF = self.mean_GF / self.deviation_F
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
        arrays: dict[str, Any] = {field.name: np.asarray(getattr(self, field.name)) for field in fields(self)}
        np.savez_compressed(buffer, **arrays)
        return buffer.getvalue()

    @classmethod
    def load(cls, content: bytes) -> "Regimes":
        """What `save` wrote."""
        with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
            found: dict[str, Any] = {field.name: arrays[field.name] for field in fields(cls)}
        return cls(**{name: value.item() if value.ndim == 0 else value for name, value in found.items()})


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
        within_FF=batch.within_FF,
        slow_FF=batch.slow_FF,
        weight=1.0,
        pooled_rows=float(batch.rows),
        freedom=batch.slow_freedom,
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
