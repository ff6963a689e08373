"""Ten thousand triggers on one history: which would have cost least. Shapes: P policies, T batches, V versions."""

from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np

from monitoring.backtest import Flags, Floats, Numbers, Prices, Replay, cheapest, replay
from monitoring.config import DriftTrigger, ManualTrigger, PerformanceTrigger, RowsTrigger, Trigger, TriggerConfig
from monitoring.past import Past

DROPS = (np.inf, *(round(0.005 * step, 3) for step in range(1, 21)), 0.12, 0.15, 0.2, 0.3)
BATCHES = (np.inf, *range(1, 11), 12, 15, 20, 25, 30, 40, 50)
"""A rows trigger's count, in batches of the history's median length."""
COOLDOWNS = tuple(range(12))


@dataclass(frozen=True)
class Triggers:
    """Any of drift, a drop and a number of rows, with a cooldown; ∞: not that one. Simpler ones come first."""

    drift_P: Flags
    drop_P: Floats
    rows_P: Floats
    cooldown_P: Numbers

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
        return TriggerConfig(any=triggers or [ManualTrigger(kind="manual")], cooldown_batches=int(self.cooldown_P[p]))


def all_triggers(past: Past) -> Triggers:
    """Every combination, for batches as long as the history's."""
    rows = max(1, int(np.median(past.rows_T)))
    counts = (np.inf, *(1 if n == 1 else n * rows for n in BATCHES[1:]))
    found = sorted(product((False, True), DROPS, counts, COOLDOWNS), key=_complexity)
    drift, drop, count, cooldown = zip(*found, strict=True)
    return Triggers(np.array(drift), np.array(drop), np.array(count), np.array(cooldown))


def replay_triggers(past: Past, triggers: Triggers, prices: Prices) -> Replay:
    """All of them through the history at once."""
    drop_VT, rows_VT, waited_VT = past.drop_VT, past.rows_since_VT, past.waited_VT
    drifted_VT = past.matrix(lambda v, t: (e := past.cells[v, t].evidence) is not None and e.drifted)
    unknown_VT = past.matrix(lambda v, t: bool(past.cells[v, t].unknown_classes))

    def fires(current_P: Numbers, t: int) -> Flags:
        asked_P = triggers.drift_P & drifted_VT[current_P, t]
        asked_P = asked_P | (drop_VT[current_P, t] > triggers.drop_P)
        asked_P = asked_P | (rows_VT[current_P, t] >= triggers.rows_P)
        return asked_P & (waited_VT[current_P, t] > triggers.cooldown_P) | unknown_VT[current_P, t]

    return replay(past.scores, fires, len(triggers), prices)


def best_trigger(past: Past, prices: Prices) -> tuple[TriggerConfig, int]:
    """The simplest trigger of the least cost, and of how many."""
    triggers = all_triggers(past)
    return triggers.config(cheapest(replay_triggers(past, triggers, prices).cost_P)), len(triggers)


def _complexity(parts: tuple[Any, ...]) -> tuple[Any, ...]:
    drift, drop, rows, cooldown = parts
    kinds = int(drift) + int(np.isfinite(drop)) + int(np.isfinite(rows))
    return kinds, cooldown, drift, -drop, -rows
