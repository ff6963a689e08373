"""A glass line's sensors with planted drift, one row every ten minutes: by a plan as files, by a scenario without end.

`glass_line` follows a plan. In the demo's, two products alternate. Flint bottles and amber jars run at other set points
and, more than that, obey other relations: amber glass foams at high oxygen where flint does at low, thick jars crack
from heating too fast where bottles crack from cooling too fast, and their moulds must be cold where a bottle's must be
hot. Meanwhile the furnace wears and its fining thermocouple reads ever lower, and the seasons turn. Other plans:
`data.plans`. `SyntheticTrainingDataGenerator` runs the same plant by a scenario (`data.scenario`), for ever.

Shapes: T rows of a batch, P processes.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from data.documents import check_document
from data.faults import Fault, apply_fault
from data.plans import Plan, PlannedBatch, PlantedCause, demo_plan
from data.plant import DEFECTS, PROCESSES, SENSORS, TEMPERATURES, Values, disturb, run_plant
from data.scenario import Scenario
from data.stream import START, LineBatch, line_batches

if TYPE_CHECKING:
    from data.lstm_data import LstmData

__all__ = ["DEFECTS", "SENSORS", "TEMPERATURES", "SyntheticTrainingDataGenerator", "Truth", "glass_line", "write_line"]

ROW_MINUTES = 10
MISSING_SHARE = 0.002


@dataclass(frozen=True)
class Truth:
    """What was planted in one batch. wear: 0 for a new furnace; events: what a watcher should notice.

    cause: what triage should name; faults: of the instruments, stuck: the one that says one value all the time.
    """

    batch: int
    name: str
    product: str
    wear: float
    season: float
    events: tuple[str, ...]
    stuck: str | None
    fahrenheit: tuple[str, ...]
    cause: PlantedCause
    faults: tuple[Fault, ...]

    @property
    def faulty(self) -> tuple[str, ...]:
        """The sensors whose readings are wrong in some rows."""
        return tuple(sensor for fault in self.faults for sensor in fault.sensors)


def glass_line(
    batches: int = 14, rows: int = 600, seed: int = 0, plan: Plan | None = None
) -> Iterator[tuple[str, pl.DataFrame, Truth]]:
    """The line's batches in order of time, each with its file name and the truth about it.

    A frame has `time`, 18 sensors with their units in their names, and `defect`: what inspection found most in those
    minutes. plan: what is planted, one entry a batch, instead of `batches` of the demo's: products change every four
    batches; one sensor is stuck in batch 7; batch 11 arrives in degrees Fahrenheit.
    A batch does not depend on how many follow it. Raises ValueError for fewer than one batch or row.
    """
    planned = demo_plan(batches) if plan is None else plan
    if len(planned) < 1 or rows < 1:
        raise ValueError(f"a line needs at least one batch of one row, got {len(planned)} batches of {rows} rows")
    last_P: Values = np.random.default_rng((seed, 0)).standard_normal(len(PROCESSES))
    for batch, planned_batch in enumerate(planned, start=1):
        rng = np.random.default_rng((seed, batch))
        disturbances_TP = disturb(last_P, rows, rng)
        last_P = disturbances_TP[-1]
        line = run_plant(planned_batch.conditions, disturbances_TP, rng)
        truth = _truth(batch, planned_batch)
        yield truth.name, _deliver(line, batch, planned_batch, rng, np.random.default_rng((seed, batch, 1))), truth


def write_line(folder: Path, batches: int = 14, rows: int = 600, seed: int = 0, plan: Plan | None = None) -> list[Path]:
    """Write the batches as CSV files, and what was planted in them as truth.json; returns the CSV files."""
    folder.mkdir(parents=True, exist_ok=True)
    paths: list[Path] = []
    truths: list[Truth] = []
    for name, frame, truth in glass_line(batches, rows, seed, plan):
        frame.write_csv(folder / name, datetime_format="%Y-%m-%d %H:%M:%S")
        paths.append(folder / name)
        truths.append(truth)
    planted = json.dumps([asdict(t) for t in truths], indent=2)
    (folder / "truth.json").write_text(planted + "\n", encoding="utf-8")
    return paths


def _truth(batch: int, planned: PlannedBatch) -> Truth:
    conditions = planned.conditions
    stuck = next((fault.sensor for fault in planned.faults if fault.kind == "stuck"), None)
    return Truth(
        batch,
        f"line-{batch:02d}.csv",
        conditions.product.name,
        conditions.wear,
        conditions.season,
        planned.events,
        stuck,
        planned.fahrenheit,
        planned.cause,
        planned.faults,
    )


def _deliver(
    line: dict[str, Values], batch: int, planned: PlannedBatch, rng: np.random.Generator, fault_rng: np.random.Generator
) -> pl.DataFrame:
    """What the instruments write down: noise, ageing, the batch's planted faults, rounding, gaps."""
    rows = len(line["defect"])
    read: dict[str, Values] = {}
    missing: dict[str, np.ndarray] = {}
    for sensor in SENSORS:
        read_T = line[sensor] - (16 * planned.conditions.wear if sensor == "furnace_2_c" else 0)
        read[sensor] = read_T + 0.08 * line[sensor].std() * rng.standard_normal(rows)
        missing[sensor] = rng.random(rows) < MISSING_SHARE
    for fault in planned.faults:
        read = apply_fault(read, fault, fault_rng)
    columns: dict[str, pl.Series] = {}
    for sensor, digits in SENSORS.items():
        read_T = read[sensor] * 1.8 + 32 if sensor in planned.fahrenheit else read[sensor]
        columns[sensor] = pl.Series(np.where(missing[sensor], np.nan, read_T.round(digits))).fill_nan(None)
    start = START + timedelta(minutes=ROW_MINUTES * (batch - 1) * rows)
    time = pl.Series([start + timedelta(minutes=ROW_MINUTES * m) for m in range(rows)])
    defect = pl.Series([DEFECTS[int(d)] for d in line["defect"]])
    return pl.DataFrame({"time": time, **columns, "defect": defect})


class SyntheticTrainingDataGenerator:
    """Data of a glass line with known truth, as the earlier training module called it.

    scenario: how the line runs and what happens on it, a `Scenario` or the path of its file; None: a quiet line.
    seed: instead of the scenario's. The same calls give the same data.
    """

    def __init__(self, scenario: Scenario | Path | str | None = None, seed: int | None = None) -> None:
        given = Scenario() if scenario is None else scenario
        loaded = given if isinstance(given, Scenario) else Scenario.load(Path(given))
        self.scenario = loaded if seed is None else _checked(loaded, {"seed": seed})

    def generate_lstm_training_data(
        self, sequence_length: int = 30, num_samples: int = 10_000, defect_types: Sequence[str] | None = None
    ) -> "LstmData":
        """Windows of the line's first rows, each with what inspection found at its last.

        defect_types: what it may find besides `ok`; None: what the scenario says. Raises ValueError for fewer than one
        sample or row, and for a defect that no line has, with those that there are.
        """
        from data.lstm_data import make_lstm_data  # torch's import waits until it is needed

        if sequence_length < 1 or num_samples < 1:
            raise ValueError(f"there is nothing in {num_samples} windows of {sequence_length} rows")
        scenario = self.scenario
        if defect_types is not None:
            scenario = _checked(scenario, {"defects": list(defect_types)})
        batch = next(line_batches(scenario, num_samples + sequence_length - 1))
        return make_lstm_data(batch, sequence_length, scenario.labels)

    def batches(self, rows: int = 600) -> Iterator[LineBatch]:
        """The line in batches of so many rows, for ever, each with the truth about its rows."""
        return line_batches(self.scenario, rows)

    def frames(self, rows: int = 600) -> Iterator[pl.DataFrame]:
        """The batches' rows alone, as they would arrive."""
        return (batch.rows for batch in self.batches(rows))


def _checked(scenario: Scenario, changes: dict[str, Any]) -> Scenario:
    """The scenario with other values; raises ValueError, naming what is allowed, for a mistake in them."""
    return check_document(Scenario, {**scenario.model_dump(), **changes}, "what is asked for", "scenario")
