import json
from typing import Any

import numpy as np
import pytest
from pydantic import TypeAdapter
from river.drift import ADWIN

from monitoring.config import AdwinTrigger, DdmTrigger, PageHinkleyTrigger, ScoreDriftTrigger
from monitoring.performance import Metric
from monitoring.score_drift import Scored, losses_rose, scored_rows

ADWIN_, DDM = AdwinTrigger(kind="score_drift", detector="adwin"), DdmTrigger(kind="score_drift", detector="ddm")
PAGE = PageHinkleyTrigger(kind="score_drift", detector="page_hinkley", delta=0.05)


def classified(wrong: float, rows: int, seed: int) -> Scored:
    rng = np.random.default_rng(seed)
    targets_B, guesses = rng.integers(0, 2, rows), rng.random(rows) < wrong
    return scored_rows("accuracy", np.eye(2, dtype=np.float32)[targets_B ^ guesses], targets_B)


def predicted(error: float, rows: int, seed: int) -> Scored:
    errors = np.random.default_rng(seed).standard_normal(rows) * error
    return scored_rows("rmse", errors.astype(np.float32), np.zeros(rows))


def alarms(trigger: ScoreDriftTrigger, batches: list[Scored], metric: Metric = "accuracy") -> list[bool]:
    return [losses_rose(trigger, metric, batches[: i + 1]) for i in range(len(batches))]


@pytest.mark.parametrize("trigger", [ADWIN_, DDM, PAGE])
@pytest.mark.parametrize("rows", [150, 3000])
def test_more_errors_are_found_within_three_batches_and_fewer_never(trigger: ScoreDriftTrigger, rows: int) -> None:
    calm = [classified(0.1, rows, seed) for seed in range(8)]
    worse = [classified(0.5, rows, 10 + seed) for seed in range(3)]
    better = [classified(0.01, rows, 20 + seed) for seed in range(5)]
    assert not any(alarms(trigger, calm + better))
    assert any(alarms(trigger, calm + worse)[8:])


@pytest.mark.parametrize("trigger", [ADWIN_, PAGE])
@pytest.mark.parametrize("unit", [0.001, 1.0, 1000.0])
def test_larger_errors_of_values_are_found_whatever_their_unit(trigger: ScoreDriftTrigger, unit: float) -> None:
    calm = [predicted(unit, 400, seed) for seed in range(6)]
    worse = [predicted(2 * unit, 400, 10 + seed) for seed in range(2)]
    found = alarms(trigger, calm + worse, "rmse")
    assert not any(found[:6])
    assert any(found[6:])


def test_it_is_rivers_adwin_on_every_row_of_small_batches() -> None:
    batches = [classified(0.1 + 0.2 * (i > 4), 120, i) for i in range(9)]
    river, expected = ADWIN(), list[bool]()
    for batch in batches:
        expected.append(False)
        for error in batch.errors:
            before = river.estimation
            river.update(int(error))
            expected[-1] |= river.drift_detected and river.estimation > before
    assert alarms(ADWIN_, batches) == expected
    assert any(expected)


def test_what_a_batch_leaves_is_small_and_comes_back_from_the_ledger_as_it_was() -> None:
    scored = classified(0.3, 100_000, 1)
    assert (len(scored.losses), len(scored.errors)) == (200, 1000)
    assert np.mean(scored.losses) == pytest.approx(0.3, abs=0.01)
    adapter: Any = TypeAdapter(Scored)
    assert adapter.validate_python(json.loads(adapter.dump_json(scored))) == scored
    assert predicted(1.0, 50, 2).errors == ""
