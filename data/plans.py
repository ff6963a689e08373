"""What is planted in a glass line, batch by batch: the demo's plan, and plans drawn by seed around one event."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, get_args

import numpy as np

from data.faults import FAULT_KINDS, Fault, FaultKind
from data.plant import BLIND, BOTTLE, FOAM, JAR, SENSORS, STRICT, TEMPERATURES, VIAL, Conditions

PlantedCause = Literal["none", "sensor_fault", "covariate", "target", "season", "regime"]
PLANTED_CAUSES: tuple[PlantedCause, ...] = get_args(PlantedCause)

CAMPAIGN_BATCHES = 4
STUCK_BATCH, STUCK_SENSOR = 7, "mould_1_c"
UNIT_CHANGE_BATCH = 11
WEAR_PER_BATCH = 0.07
SEASON_BATCHES = 12

QUIET_BATCHES = 5
"""Before the first event of a drawn plan."""
LATER_BATCHES = 2
SWAPS = (("mould_1_c", "gob_c"), ("furnace_1_c", "crown_c"), ("lehr_1_c", "lehr_3_c"), ("lehr_2_c", "lehr_4_c"),
         ("furnace_2_c", "furnace_1_c"), ("speed_cpm", "press_kpa"))  # fmt: skip

Rng = np.random.Generator


@dataclass(frozen=True)
class PlannedBatch:
    """How the line runs for one batch, which instruments fail in it, and the cause that a watcher should name."""

    conditions: Conditions
    faults: tuple[Fault, ...] = ()
    fahrenheit: tuple[str, ...] = ()
    cause: PlantedCause = "none"
    events: tuple[str, ...] = ()


Plan = Sequence[PlannedBatch]


def demo_plan(batches: int) -> Plan:
    """Products change every four batches; a sensor is stuck in batch 7; batch 11 arrives in degrees Fahrenheit."""
    return [_demo_batch(batch) for batch in range(1, batches + 1)]


def draw_plan(cause: PlantedCause, seed: int, later: int = LATER_BATCHES) -> Plan:
    """A line that runs quietly for five batches and then meets one event of this kind, drawn by the seed.

    Meanwhile the furnace wears and the season turns slowly. later: quiet batches after the event.
    """
    rng = np.random.default_rng((seed, PLANTED_CAUSES.index(cause)))
    return plan_around(cause, rng, _EVENTS[cause], later)


def draw_fault_plan(fault: Fault, seed: int, later: int = LATER_BATCHES) -> Plan:
    """A quiet line in which this fault meets the sixth batch and is repaired before the seventh."""
    rng = np.random.default_rng((seed, len(PLANTED_CAUSES)))
    return plan_around("sensor_fault", rng, lambda base, _: [_faulty(base, fault)], later)


def plan_around(
    cause: PlantedCause, rng: Rng, event: Callable[[Conditions, Rng], list[PlannedBatch]], later: int
) -> Plan:
    """Quiet batches, those of the event, and quiet ones that go on as the last of it did, its faults repaired."""
    base = Conditions(
        product=(BOTTLE, JAR)[int(rng.integers(2))],
        wear=0.5 * float(rng.random()),
        season=float(rng.uniform(-0.5, 0.5)),
    )
    planned = [PlannedBatch(base)] * QUIET_BATCHES + event(base, rng)
    assert planned[-1].cause == cause, f"the plan of {cause} ends with it"
    after = PlannedBatch(planned[-1].conditions)
    return [_aged(batch, number) for number, batch in enumerate([*planned, *[after] * later])]


def draw_fault(kind: FaultKind, severity: float, rng: Rng) -> Fault:
    """A fault of any sensor, from somewhere in the first half of the batch on; it may lie to either side."""
    if kind == "swapped":
        sensor, other = SWAPS[int(rng.integers(len(SWAPS)))]
        return Fault(kind, sensor, start=_start(rng), other=other)
    sensor = list(SENSORS)[int(rng.integers(len(SENSORS)))]
    side = 1.0 if kind in ("noise", "spikes") else float(rng.choice([-1.0, 1.0]))
    return Fault(kind, sensor, side * severity, _start(rng))


def _start(rng: Rng) -> float:
    return float(rng.choice([0.0, 0.25, 0.5]))


def _demo_batch(batch: int) -> PlannedBatch:
    product, before = ((BOTTLE, JAR)[(number - 1) // CAMPAIGN_BATCHES % 2] for number in (batch, batch - 1))
    conditions = Conditions(
        product, round(WEAR_PER_BATCH * (batch - 1), 4), float(np.sin(2 * np.pi * batch / SEASON_BATCHES))
    )
    if batch > 1 and product is not before:
        known = batch > 2 * CAMPAIGN_BATCHES
        return PlannedBatch(
            conditions, cause="season" if known else "regime", events=("recurring" if known else "abrupt",)
        )
    if batch == STUCK_BATCH:
        return replace(_faulty(conditions, Fault("stuck", STUCK_SENSOR)), events=("stuck sensor",))
    if batch == UNIT_CHANGE_BATCH:
        return PlannedBatch(conditions, fahrenheit=TEMPERATURES, events=("unit change",))
    return PlannedBatch(conditions)


def _aged(planned: PlannedBatch, number: int) -> PlannedBatch:
    conditions = planned.conditions
    wear, season = conditions.wear + WEAR_PER_BATCH * number, conditions.season + 0.02 * number
    return replace(planned, conditions=replace(conditions, wear=round(wear, 4), season=round(season, 4)))


def _faulty(base: Conditions, fault: Fault) -> PlannedBatch:
    return PlannedBatch(base, (fault,), cause="sensor_fault", events=(f"{fault.kind} {' and '.join(fault.sensors)}",))


def _nothing(base: Conditions, rng: Rng) -> list[PlannedBatch]:
    return [PlannedBatch(base)]


def _fault(base: Conditions, rng: Rng) -> list[PlannedBatch]:
    kind = FAULT_KINDS[int(rng.integers(len(FAULT_KINDS)))]
    return [_faulty(base, draw_fault(kind, float(rng.choice([1.0, 2.0, 4.0])), rng))]


def _moved(base: Conditions, rng: Rng) -> PlannedBatch:
    """Fuel, load, draught or weather moved to where they never were; the relations between sensors hold."""
    side = float(rng.choice([-1.0, 1.0]))
    which = str(rng.choice(["fuel", "pull", "working_end", "cooling", "heat wave"]))
    if which == "heat wave":
        change = side * float(rng.uniform(0.9, 1.3))
        return PlannedBatch(
            replace(base, season=base.season + change), cause="covariate", events=(f"weather {change:+.1f}",)
        )
    moved = {which: side * float(rng.uniform(1.5, 2.5))}
    return PlannedBatch(replace(base, moved=moved), cause="covariate", events=(f"{which} {moved[which]:+.1f}",))


def _rule(base: Conditions, rng: Rng) -> list[PlannedBatch]:
    rule = (STRICT, BLIND, FOAM)[int(rng.integers(3))]
    return [PlannedBatch(replace(base, rule=rule), cause="target", events=(rule.name,))]


def _new_product(base: Conditions, rng: Rng) -> PlannedBatch:
    product = (VIAL, JAR if base.product is BOTTLE else BOTTLE)[int(rng.integers(2))]
    return PlannedBatch(replace(base, product=product), cause="regime", events=(product.name,))


def _return(base: Conditions, rng: Rng) -> list[PlannedBatch]:
    """Another product or other weather for three batches, and back to what the line ran as before."""
    away = _new_product(base, rng) if rng.random() < 0.5 else _moved(base, rng)
    stay = PlannedBatch(away.conditions)
    return [away, stay, stay, PlannedBatch(base, cause="season", events=("back again",))]


_EVENTS: Mapping[PlantedCause, Callable[[Conditions, Rng], list[PlannedBatch]]] = {
    "none": _nothing,
    "sensor_fault": _fault,
    "covariate": lambda base, rng: [_moved(base, rng)],
    "target": _rule,
    "season": _return,
    "regime": lambda base, rng: [_new_product(base, rng)],
}
