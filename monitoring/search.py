"""Ten thousand triggers on one history: which would have cost least. Shapes: P policies, T batches, V versions."""

from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np

from monitoring.backtest import Flags, Floats, Numbers, Prices, Replay, cheapest, replay
from monitoring.config import (
    DriftTrigger,
    ManualTrigger,
    PerformanceTrigger,
    PriceTrigger,
    RowsTrigger,
    Trigger,
    TriggerConfig,
)
from monitoring.past import Past
from monitoring.policies import due_after

DROPS = (np.inf, *(round(0.005 * step, 3) for step in range(1, 21)), 0.12, 0.15, 0.2, 0.3)
BATCHES = (np.inf, *range(1, 11), 12, 15, 20, 25, 30, 40, 50)
"""A rows trigger's count, in batches of the history's median length."""
COOLDOWNS = tuple(range(12))
PRICES = (0.1, 0.2, 0.5, 1.0, 1.5, 2.0, 3.0, 5.0, 7.0, 10.0, 20.0, 50.0)


@dataclass(frozen=True)
class Triggers:
    """Any of drift, a drop, a number of rows and a price, with a cooldown; ∞: not that one. Simpler ones come first."""

    drift_P: Flags
    drop_P: Floats
    rows_P: Floats
    cooldown_P: Numbers
    price_P: Floats

    def __len__(self) -> int:
        return len(self.drift_P)

    def config(self, p: int) -> TriggerConfig:
        """One of them as a pipeline file says it."""
        triggers: list[Trigger] = []
        if self.drift_P[p]:
            triggers.append(DriftTrigger(kind="drift"))
        if np.isfinite(self.drop_P[p]):
            triggers.append(PerformanceTrigger(kind="performance", drop=float(self.drop_P[p])))
        if np.isfinite(self.rows_P[p]):
            triggers.append(RowsTrigger(kind="rows", count=int(self.rows_P[p])))
        if np.isfinite(self.price_P[p]):
            triggers.append(PriceTrigger(kind="price", points=float(self.price_P[p])))
        return TriggerConfig(any=triggers or [ManualTrigger(kind="manual")], cooldown_batches=int(self.cooldown_P[p]))


def all_triggers(past: Past) -> Triggers:
    """Every combination, for batches as long as the history's."""
    rows = max(1, int(np.median(past.rows_T)))
    counts = (np.inf, *(1 if n == 1 else n * rows for n in BATCHES[1:]))
    combined = [(*parts, np.inf) for parts in product((False, True), DROPS, counts, COOLDOWNS)]
    priced = [(False, np.inf, np.inf, 0, price) for price in PRICES]
    drift, drop, count, cooldown, price = zip(*sorted([*combined, *priced], key=_complexity), strict=True)
    return Triggers(np.array(drift), np.array(drop), np.array(count), np.array(cooldown), np.array(price))


def replay_triggers(past: Past, triggers: Triggers, prices: Prices) -> Replay:
    """All of them through the history at once."""
    drop_VT, rows_VT, waited_VT, lost_VT = past.drop_VT, past.rows_since_VT, past.waited_VT, past.lost_VT
    due_after_P = np.array([due_after(price) for price in triggers.price_P])
    drifted_VT = past.matrix(lambda v, t: (e := past.cells[v, t].evidence) is not None and e.drifted)
    unknown_VT = past.matrix(lambda v, t: bool(past.cells[v, t].unknown_classes))

    def fires(current_P: Numbers, t: int) -> Flags:
        asked_P = triggers.drift_P & drifted_VT[current_P, t]
        asked_P = asked_P | (drop_VT[current_P, t] > triggers.drop_P)
        asked_P = asked_P | (rows_VT[current_P, t] >= triggers.rows_P)
        asked_P = asked_P | (lost_VT[current_P, t] >= triggers.price_P)
        asked_P = asked_P | (waited_VT[current_P, t] >= due_after_P)
        return asked_P & (waited_VT[current_P, t] > triggers.cooldown_P) | unknown_VT[current_P, t]

    return replay(past.scores, fires, len(triggers), prices)


@dataclass(frozen=True)
class Found:
    """The simplest trigger of the least cost; trainings and mean score of all that were tried, each pair once."""

    trigger: TriggerConfig
    count: int
    tried: list[tuple[int, float]]


def search(past: Past, prices: Prices) -> Found:
    """Take all triggers through the history."""
    triggers = all_triggers(past)
    replayed = replay_triggers(past, triggers, prices)
    pairs = zip(replayed.trainings_P.tolist(), replayed.score_P.round(5).tolist(), strict=True)
    return Found(triggers.config(cheapest(replayed.cost_P)), len(triggers), sorted(set(pairs)))


def _complexity(parts: tuple[Any, ...]) -> tuple[Any, ...]:
    drift, drop, rows, cooldown, price = parts
    kinds = int(drift) + sum(bool(np.isfinite(part)) for part in (drop, rows, price))
    return kinds, cooldown, drift, -price, -drop, -rows
