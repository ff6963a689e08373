"""A glass line's sensors with planted drift: furnace, forming and the annealing lehr, one row every ten minutes.

Two products alternate. Flint bottles and amber jars run at other set points and, more than that, obey other relations:
amber glass foams at high oxygen where flint does at low, thick jars crack from heating too fast where bottles crack
from cooling too fast, and their moulds must be cold where a bottle's must be hot. Meanwhile the furnace wears and its
fining thermocouple reads ever lower, and the seasons turn.

Shapes: T rows of a batch, P processes.
"""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.signal import lfilter

Values = NDArray[np.float64]

DEFECTS = ("ok", "crack", "bubble", "chip")
START = datetime(2026, 1, 5, 6, 0)
ROW_MINUTES = 10
CAMPAIGN_BATCHES = 4
STUCK_BATCH, STUCK_SENSOR = 7, "mould_1_c"
UNIT_CHANGE_BATCH = 11
WEAR_PER_BATCH = 0.07
SEASON_BATCHES = 12
MISSING_SHARE = 0.002

# The sensors in a file's order, each with the digits after the point that its instrument reports.
SENSORS = {
    "ambient_c": 1, "furnace_1_c": 1, "furnace_2_c": 1, "furnace_3_c": 1, "crown_c": 1, "gas_m3_h": 0, "o2_pct": 2,
    "pull_t_h": 2, "gob_c": 1, "mould_1_c": 1, "mould_2_c": 1, "press_kpa": 1, "speed_cpm": 1,
    "lehr_1_c": 1, "lehr_2_c": 1, "lehr_3_c": 1, "lehr_4_c": 1, "belt_m_min": 3,
}  # fmt: skip
TEMPERATURES = tuple(s for s in SENSORS if s.endswith("_c"))

# What disturbs the line, each an AR(1) process of deviation 1, with its correlation from row to row.
PROCESSES = {
    "fuel": 0.8, "air": 0.7, "pull": 0.9, "working_end": 0.7, "mould": 0.7, "press": 0.5,
    "entry": 0.7, "cooling": 0.7, "belt": 0.8, "ambient": 0.98,
}  # fmt: skip


@dataclass(frozen=True)
class Product:
    """Set points of a product and the relations by which it fails."""

    name: str
    pull_t_h: float
    gob_c: float
    speed_cpm: float
    belt_m_min: float
    redox: float  # +1: bubbles at low oxygen, −1: at high
    mould: float  # +1: chips from cold moulds, −1: from hot
    cooling: float  # how much of the stress comes from cooling; the rest from heating at the lehr's entry


BOTTLE = Product("flint bottle", 10.5, 1150, 96, 0.62, redox=1, mould=1, cooling=1)
JAR = Product("amber jar", 11.6, 1128, 84, 0.54, redox=-1, mould=-1, cooling=0)


@dataclass(frozen=True)
class Truth:
    """What was planted in one batch. wear: 0 for a new furnace; events: what a watcher should notice."""

    batch: int
    name: str
    product: str
    wear: float
    season: float
    events: tuple[str, ...]
    stuck: str | None
    fahrenheit: tuple[str, ...]


def glass_line(batches: int = 14, rows: int = 600, seed: int = 0) -> Iterator[tuple[str, pl.DataFrame, Truth]]:
    """The line's batches in order of time, each with its file name and the truth about it.

    A frame has `time`, 18 sensors with their units in their names, and `defect`: what inspection found most in those
    minutes. Products change every four batches; one sensor is stuck in batch 7; batch 11 arrives in degrees Fahrenheit.
    A batch does not depend on how many follow it. Raises ValueError for fewer than one batch or row.
    """
    if batches < 1 or rows < 1:
        raise ValueError(f"a line needs at least one batch of one row, got {batches} batches of {rows} rows")
    last_P: Values = np.random.default_rng((seed, 0)).standard_normal(len(PROCESSES))
    for batch in range(1, batches + 1):
        rng = np.random.default_rng((seed, batch))
        disturbances_TP = _disturb(last_P, rows, rng)
        last_P = disturbances_TP[-1]
        truth = _plan(batch)
        sensors = _run(_product(batch), truth, disturbances_TP, rng)
        yield truth.name, _deliver(sensors, truth, rng), truth


def write_line(folder: Path, batches: int = 14, rows: int = 600, seed: int = 0) -> list[Path]:
    """Write the batches as CSV files, and what was planted in them as truth.json; returns the CSV files."""
    folder.mkdir(parents=True, exist_ok=True)
    paths: list[Path] = []
    truths: list[Truth] = []
    for name, frame, truth in glass_line(batches, rows, seed):
        frame.write_csv(folder / name, datetime_format="%Y-%m-%d %H:%M:%S")
        paths.append(folder / name)
        truths.append(truth)
    planted = json.dumps([asdict(t) for t in truths], indent=2)
    (folder / "truth.json").write_text(planted + "\n", encoding="utf-8")
    return paths


def _product(batch: int) -> Product:
    return (BOTTLE, JAR)[(batch - 1) // CAMPAIGN_BATCHES % 2]


def _plan(batch: int) -> Truth:
    product = _product(batch)
    events: list[str] = []
    if batch > 1 and product is not _product(batch - 1):
        events.append("recurring" if batch > 2 * CAMPAIGN_BATCHES else "abrupt")
    stuck = STUCK_SENSOR if batch == STUCK_BATCH else None
    fahrenheit = TEMPERATURES if batch == UNIT_CHANGE_BATCH else ()
    events += ["stuck sensor"] * (stuck is not None) + ["unit change"] * bool(fahrenheit)
    season = float(np.sin(2 * np.pi * batch / SEASON_BATCHES))
    wear = round(WEAR_PER_BATCH * (batch - 1), 4)
    return Truth(batch, f"line-{batch:02d}.csv", product.name, wear, season, tuple(events), stuck, fahrenheit)


def _disturb(last_P: Values, rows: int, rng: np.random.Generator) -> Values:
    """The processes' next rows, going on from their last ones."""
    steps_TP = rng.standard_normal((rows, len(PROCESSES)))
    columns = [
        lfilter([np.sqrt(1 - phi**2)], [1.0, -phi], steps_T, zi=np.array([phi * last]))[0]
        for phi, steps_T, last in zip(PROCESSES.values(), steps_TP.T, last_P, strict=True)
    ]
    return np.stack(columns, axis=1)


def _run(product: Product, truth: Truth, disturbances_TP: Values, rng: np.random.Generator) -> dict[str, Values]:
    """True temperatures, flows and speeds from the disturbances, and the defect number they lead to."""
    x = dict(zip(PROCESSES, disturbances_TP.T, strict=True))
    ambient = 24 + 7 * truth.season + 1.5 * x["ambient"]
    pull = product.pull_t_h + 0.35 * x["pull"]
    heat = x["fuel"] - 0.5 * x["pull"]
    gob = product.gob_c + 6 * x["working_end"] + 2 * heat
    mould = 478 + 9 * x["mould"] + 0.25 * (gob - product.gob_c) + 0.4 * (ambient - 24)
    belt = product.belt_m_min + 0.015 * x["belt"]
    lehr_2 = 548 + 4 * x["entry"]
    lehr_3 = lehr_2 - 72 - 7 * x["cooling"]
    line = {
        "ambient_c": ambient,
        "furnace_1_c": 1478 + 9 * heat - 6 * truth.wear,
        "furnace_2_c": 1422 + 8 * heat,
        "furnace_3_c": 1216 + 5 * x["working_end"] + 3 * heat,
        "crown_c": 1566 + 10 * x["fuel"] - 18 * truth.wear,
        "gas_m3_h": 1460 + 45 * x["fuel"] + 70 * (pull - BOTTLE.pull_t_h) + 90 * truth.wear - 2 * (ambient - 24),
        "o2_pct": 2.1 + 0.35 * x["air"] - 0.08 * x["fuel"],
        "pull_t_h": pull,
        "gob_c": gob,
        "mould_1_c": mould,
        "mould_2_c": mould - 6 + 2 * x["press"],
        "press_kpa": 205 + 7 * x["press"],
        "speed_cpm": product.speed_cpm + 2.2 * x["pull"],
        "lehr_1_c": lehr_2 - 34 - 6 * x["entry"],
        "lehr_2_c": lehr_2,
        "lehr_3_c": lehr_3,
        "lehr_4_c": lehr_3 - 140 + 5 * x["belt"] + 0.5 * (ambient - 24),
        "belt_m_min": belt,
    }
    return {**line, "defect": _inspect(product, truth.wear, heat, x, rng)}


def _inspect(product: Product, wear: float, heat: Values, x: dict[str, Values], rng: np.random.Generator) -> Values:
    """The defect number of each row: the largest excess over a limit, blurred by what no sensor sees."""
    stress = product.cooling * x["cooling"] + (1 - product.cooling) * x["entry"]
    # Worn refractory dissolves into the glass, so that the same heat fines it less and less.
    excess = {
        "crack": 1.5 * (stress + 0.5 * x["belt"]) - 1.2,
        "bubble": -1.0 * heat - 1.1 * product.redox * x["air"] + 1.2 * wear - 1.3,
        "chip": -1.5 * product.mould * x["mould"] + 0.6 * x["press"] - 1.3,
    }
    scores_TK = np.stack([np.zeros_like(heat), *(excess[d] for d in DEFECTS[1:])], axis=1)
    return (scores_TK + 0.15 * rng.gumbel(size=scores_TK.shape)).argmax(1).astype(np.float64)


def _deliver(line: dict[str, Values], truth: Truth, rng: np.random.Generator) -> pl.DataFrame:
    """What the instruments write down: noise, ageing, rounding, gaps, and the batch's planted faults."""
    rows = len(line["defect"])
    columns: dict[str, pl.Series] = {}
    for sensor, digits in SENSORS.items():
        read_T = line[sensor] - (16 * truth.wear if sensor == "furnace_2_c" else 0)
        read_T = read_T + 0.08 * line[sensor].std() * rng.standard_normal(rows)
        if sensor == truth.stuck:
            read_T = np.full(rows, read_T[0])
        if sensor in truth.fahrenheit:
            read_T = read_T * 1.8 + 32
        missing_T = rng.random(rows) < MISSING_SHARE
        columns[sensor] = pl.Series(np.where(missing_T, np.nan, read_T.round(digits))).fill_nan(None)
    start = START + timedelta(minutes=ROW_MINUTES * (truth.batch - 1) * rows)
    time = pl.Series([start + timedelta(minutes=ROW_MINUTES * m) for m in range(rows)])
    defect = pl.Series([DEFECTS[int(d)] for d in line["defect"]])
    return pl.DataFrame({"time": time, **columns, "defect": defect})
