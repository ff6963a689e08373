"""Ten thousand triggers at once decide as the loop's own `decide` does, cell by cell."""

from datetime import UTC, datetime

import numpy as np
import pytest

from monitoring.backtest import Prices, Scores, replay_matrices
from monitoring.config import ScheduleTrigger, TriggerConfig
from monitoring.evidence import Carrier, DriftEvidence
from monitoring.past import Cell, Past, every, on_drift, on_price
from monitoring.search import all_triggers, replay_triggers


def made_up_past(batches: int, metric: str, seed: int) -> Past:
    rng = np.random.default_rng(seed)
    scores_VT = np.triu(0.5 + 0.5 * rng.random((batches, batches)), 1)
    scores_VT[np.tri(batches, dtype=bool)] = np.nan
    scores_VT[:, 4] = np.nan
    cells: dict[tuple[int, int], Cell] = {}
    for v in range(batches):
        for t in range(v + 1, batches):
            drifted = bool(rng.random() < 0.1 * (t - v))
            evidence = DriftEvidence(drifted, 0.0, 1.0, (Carrier("a", "level", 1.0),), {}, {}, ())
            score = float(scores_VT[v, t]) if t != 4 else None
            unknown = ("new",) if rng.random() < 0.05 else ()
            cells[v, t] = Cell(score, evidence if drifted else None, float(rng.random()), None, unknown)
    then = tuple(None if v == 3 else float(0.5 + 0.5 * rng.random()) for v in range(batches))
    learnable_T = np.arange(batches) != 4
    scores = Scores(metric, scores_VT, learnable_T, np.full(batches, 10.0), 2.0)  # pyright: ignore[reportArgumentType]
    numbers = np.cumsum(rng.integers(1, 3, batches))  # some batches between were quarantined
    return Past(scores, numbers, rng.integers(50, 150, batches), (None,) * batches, then, cells)


@pytest.mark.parametrize("metric", ["accuracy", "rmse"])
@pytest.mark.parametrize("seed", [0, 1])
def test_the_search_is_as_the_loop_decides(metric: str, seed: int) -> None:
    past = made_up_past(9, metric, seed)
    triggers = all_triggers(past)
    assert len(triggers) > 10_000
    chosen = np.random.default_rng(seed).choice(len(triggers), 60, replace=False)
    at_once = replay_triggers(past, triggers, Prices())
    one_by_one = replay_matrices(past.scores, np.stack([past.by_trigger(triggers.config(p)) for p in chosen]), Prices())
    assert at_once.fired_PT[chosen].tolist() == one_by_one.fired_PT.tolist()
    assert at_once.cost_P[chosen] == pytest.approx(one_by_one.cost_P)
    priced = [p for p in range(len(triggers)) if np.isfinite(triggers.price_P[p])]
    by_price = np.stack([past.by_trigger(triggers.config(p)) for p in priced])
    assert at_once.fired_PT[priced].tolist() == replay_matrices(past.scores, by_price, Prices()).fired_PT.tolist()


def test_a_price_of_a_quarter_of_a_point_means_every_batch() -> None:
    past = made_up_past(9, "accuracy", 0)
    assert past.by_trigger(on_price(0.25)).tolist() == past.by_trigger(every(1)).tolist()
    assert (
        past.by_trigger(on_price(1e9)).sum() == past.matrix(lambda v, t: bool(past.cells[v, t].unknown_classes)).sum()
    )


def test_a_part_of_the_past_is_a_past_of_its_own() -> None:
    past = made_up_past(9, "accuracy", 0)
    part = past.part(range(3, 8))
    whole_VT, part_VT = past.by_trigger(on_drift()), part.by_trigger(on_drift())
    assert part_VT.tolist() == whole_VT[3:8, 3:8].tolist()
    assert part.scores.first == 0


def test_a_schedule_needs_times() -> None:
    past = made_up_past(9, "accuracy", 0)
    nightly = TriggerConfig(any=[ScheduleTrigger(kind="schedule", cron="0 3 * * *")])
    with pytest.raises(ValueError, match=r"only where data\.timestamp names a column"):
        past.by_trigger(nightly)
    moments = tuple(datetime(2026, 1, 1, hour=2 * i, tzinfo=UTC) for i in range(9))
    timed = Past(past.scores, past.numbers_T, past.rows_T, moments, past.then_V, past.cells)
    fires_VT = timed.by_trigger(nightly)
    assert fires_VT[0, 2] and fires_VT[1, 2]
    assert not fires_VT[0, 1]
