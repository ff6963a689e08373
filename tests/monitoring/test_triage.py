"""Causes named on glass lines with planted events; the benchmark of the same name does this at length."""

from dataclasses import replace

import numpy as np
import pytest

from data.faults import Fault
from data.plans import STUCK_BATCH, Plan, demo_plan, draw_fault_plan, draw_plan
from data.synthetic import SENSORS, glass_line
from monitoring.causes import Losses, Triage
from monitoring.reference import values_of
from monitoring.regimes import MOST_REGIMES, Regimes, first_regime
from monitoring.sketches import Floats, sketch_batch
from monitoring.triage import triage

NAMES = tuple(SENSORS)


def follow(plan: Plan, seed: int, rows: int = 500) -> list[tuple[str, Triage]]:
    """Planted and named causes, batch by batch; the state goes through its file each time."""
    regimes: Regimes | None = None
    named: list[tuple[str, Triage]] = []
    for _, frame, truth in glass_line(0, rows, seed, plan):
        values_NF = np.column_stack([values_of(frame[sensor]) for sensor in NAMES])
        before = None if regimes is None else Regimes.load(regimes.save())
        found, regimes = triage(before, truth.batch, NAMES, values_NF, None)
        named.append((truth.cause, found))
    return named


@pytest.mark.parametrize(
    "fault",
    [
        Fault("stuck", "o2_pct", start=0.5),
        Fault("stuck", "mould_1_c"),
        Fault("offset", "lehr_2_c", -3.0, start=0.25),
        Fault("gain", "furnace_1_c", 4.0),
        Fault("drift", "crown_c", 4.0),
        Fault("noise", "gob_c", 3.0, start=0.5),
        Fault("spikes", "lehr_1_c", 6.0),
        Fault("dead", "gas_m3_h", start=0.5),
        Fault("swapped", "mould_1_c", other="gob_c"),
        Fault("swapped", "gas_m3_h", start=0.5, other="o2_pct"),
    ],
)
def test_a_fault_is_named_with_its_sensors_and_sets_only_their_readings_aside(fault: Fault) -> None:
    named = follow(draw_fault_plan(fault, 3, later=1), 30)
    assert named[5][1].cause == "sensor_fault"
    assert {part.feature for part in named[5][1].set_aside} == set(fault.sensors)
    assert [found.cause for _, found in (*named[:5], *named[6:])] == ["none"] * 6, "before and after nothing is"


def test_stuck_rows_alone_are_set_aside() -> None:
    found = follow(draw_fault_plan(Fault("stuck", "belt_m_min", start=0.5), 1, later=0), 31)[5][1]
    assert (found.set_aside[0].first, found.set_aside[-1].last) == (250, 499)
    assert {part.feature for part in found.set_aside} == {"belt_m_min"}


@pytest.mark.parametrize(("cause", "seed"), [("regime", 0), ("regime", 2), ("season", 0), ("season", 3), ("none", 1)])
def test_products_that_come_and_return(cause: str, seed: int) -> None:
    for planted, found in follow(draw_plan(cause, seed), 40 + seed)[3:]:  # pyright: ignore[reportArgumentType]
        assert found.cause == planted, found.reason
        assert not found.set_aside or found.also == ("sensor_fault",)


def test_a_process_that_moves_is_no_fault() -> None:
    named = [follow(draw_plan("covariate", seed, later=0), 50 + seed)[-1][1] for seed in range(4)]
    assert "sensor_fault" not in {found.cause for found in named}
    assert sum(found.cause == "covariate" for found in named) >= 3


@pytest.mark.parametrize("seed", range(4))
def test_weather_that_no_other_sensor_tells_of_is_no_fault(seed: int) -> None:
    named = follow(demo_plan(10), seed)
    assert {n for n, (_, found) in enumerate(named, start=1) if found.cause == "sensor_fault"} == {STUCK_BATCH}


def test_a_sensor_that_no_other_tells_of_is_told_by_what_the_champion_loses() -> None:
    rng = np.random.default_rng(5)
    names, regimes = ("a", "b", "c"), None
    for number in range(1, 7):
        true_N, rest_NF = rng.standard_normal(400), rng.standard_normal((400, 2))
        read_N = true_N + (2.0 if number == 6 else 0.0)

        def errs(read_N: Floats, true_N: Floats = true_N) -> Floats:
            return ((read_N > 1) != (true_N > 1)).astype(np.float64)

        def moved_back(feature: int, move: float, read_N: Floats = read_N) -> Floats:
            return errs(read_N - move * (feature == 0))

        losses = Losses(errs(read_N), np.zeros(400), moved_back)
        found, regimes = triage(regimes, number, names, np.column_stack([read_N, rest_NF]), losses)
        assert (found.cause, found.features) == (("sensor_fault", ("a",)) if number == 6 else ("none", ()))


def test_relations_stay_a_covariance_when_a_sensor_falls_silent() -> None:
    rng = np.random.default_rng(6)
    mixing_FF = rng.standard_normal((5, 5)) * 0.1 + 1
    regimes = first_regime(1, sketch_batch(rng.standard_normal((200, 5)) @ mixing_FF))
    for number in range(2, 6):
        values_NF = rng.standard_normal((200, 5)) @ (mixing_FF + 0.3 * rng.standard_normal((5, 5)))
        values_NF[:, number - 2] = np.nan
        regimes = regimes.absorb(number, sketch_batch(values_NF), 0)
        assert np.linalg.eigvalsh(regimes.relations.correlations_FF).min() > -1e-9


def test_losses_that_rise_over_the_same_inputs_mean_another_target() -> None:
    rng = np.random.default_rng(0)
    batches = [rng.standard_normal((300, 4)) for _ in range(6)]
    before_B = (rng.random(300) < 0.1).astype(np.float64)
    regimes, causes = None, list[str]()
    for number, values_NF in enumerate(batches, start=1):
        now_B = (rng.random(300) < (0.4 if number == 6 else 0.1)).astype(np.float64)
        found, regimes = triage(regimes, number, ("a", "b", "c", "d"), values_NF, Losses(now_B, before_B))
        causes.append(found.cause)
    assert causes == ["none"] * 5 + ["target"]


def test_what_validation_suspects_is_set_aside() -> None:
    rng = np.random.default_rng(1)
    _, regimes = triage(None, 1, ("a", "b"), rng.standard_normal((50, 2)), None)
    found, _ = triage(regimes, 2, ("a", "b"), rng.standard_normal((50, 2)), None, suspects=("b",))
    assert (found.cause, found.features) == ("sensor_fault", ("b",))
    assert [(part.first, part.last) for part in found.set_aside] == [(0, 49)]


def test_channels_that_count_or_name_something_are_no_sensors() -> None:
    rng = np.random.default_rng(2)
    regimes = None
    for number in range(1, 9):
        month = np.full(200, float(number // 3))
        values_NF = np.column_stack([rng.standard_normal((200, 3)), month])
        found, regimes = triage(regimes, number, ("a", "b", "c", "month"), values_NF, None)
        assert found.cause == "none", found.reason


@pytest.mark.parametrize("rows", [1, 2, 5, 24])
def test_small_batches_and_silent_channels_are_taken(rows: int) -> None:
    rng = np.random.default_rng(3)
    regimes = None
    for number in range(1, 8):
        values_NF: Floats = rng.standard_normal((rows, 3))
        values_NF[:, 2] = np.nan
        found, regimes = triage(regimes, number, ("a", "b", "c"), values_NF, None)
        assert found.cause == "none", found.reason


def test_regimes_do_not_grow_without_bound() -> None:
    rng = np.random.default_rng(4)
    regimes = first_regime(1, sketch_batch(rng.standard_normal((30, 3))))
    for number in range(2, 3 * MOST_REGIMES):
        regimes = regimes.absorb(number, sketch_batch(rng.standard_normal((30, 3)) + 10 * number), None)
    assert len(regimes.mean_GF) == len(regimes.seen_G) == len(regimes.gap_G) == MOST_REGIMES
    assert regimes.seen_G[regimes.latest] == 3 * MOST_REGIMES - 1
    assert len(replace(regimes).save()) < 20_000
