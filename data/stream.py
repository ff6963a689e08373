"""A glass line without end, as a scenario says: rows as they would arrive, and beside each row the truth about it.

The line is made in blocks of a fixed size, so it does not depend on the size of the batches that are asked for.
Shapes: T rows of a block, P processes, K defects.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from itertools import count, pairwise

import numpy as np
import polars as pl
from numpy.typing import NDArray

from data.effects import Codes, Instruments, Readings, level, mislabel, misread, touches, within
from data.plant import BLUR, BOTTLE, PROCESSES, PRODUCTS, Product, Values, disturb, excesses, true_state
from data.scenario import (
    LINE_SENSORS,
    Abrupt,
    AnyEvent,
    Concept,
    Gradual,
    Incremental,
    LateLabels,
    LineConfig,
    Recurring,
    Scenario,
)

START = datetime(2026, 1, 5, 6, 0)
BLOCK_ROWS = 8192
DAY_MINUTES, YEAR_DAYS = 1440, 365.25
COLDEST_DAY, WARMEST_MINUTE = 20, 15 * 60
DRIFTS = Abrupt | Gradual | Incremental | Recurring


@dataclass(frozen=True)
class LineBatch:
    """Rows that arrived together.

    rows: `time`, a Float32 column a sensor, `defect` (null where the label comes later). truth: for each of the rows
    `row` (from 0 on), `product`, `wear`, `season`, `viscosity` (power of ten, dPa·s), `stress_mpa`, `risk` (the
    probability of any defect), `defect` (what it really is) and `events`: a bit for each of the scenario's events that
    acts, the first's lowest. late_labels: `time` and `defect` of earlier rows whose labels come now.
    """

    number: int
    rows: pl.DataFrame
    truth: pl.DataFrame
    late_labels: pl.DataFrame


def line_batches(scenario: Scenario, rows: int) -> Iterator[LineBatch]:
    """The line in batches of so many rows, for ever. Raises ValueError for fewer than one row."""
    if rows < 1:
        raise ValueError(f"a batch needs at least one row, got {rows}")
    kept: list[_Block] = []
    blocks, waiting = line_blocks(scenario), _no_labels()
    for number in count(1):
        while sum(block.rows.height for block in kept) < rows:
            kept.append(next(blocks))
        whole = kept[0] if len(kept) == 1 else _Block(*(pl.concat(p) for p in zip(*map(_parts, kept), strict=True)))
        batch, rest = whole.cut(0, rows), whole.cut(rows, whole.rows.height)
        kept = [rest] if rest.rows.height else []
        waiting = waiting.vstack(batch.late) if batch.late.height else waiting
        due = waiting["due_row"] < number * rows
        yield LineBatch(number, batch.rows, batch.truth, waiting.filter(due).select("time", "defect"))
        waiting = waiting.filter(~due)


@dataclass(frozen=True)
class _Block:
    rows: pl.DataFrame
    truth: pl.DataFrame
    late: pl.DataFrame

    def cut(self, first: int, last: int) -> "_Block":
        """The rows from first to before last, and their late labels."""
        rows, truth = self.rows[first:last], self.truth[first:last]
        if not self.late.height or not truth.height:
            return _Block(rows, truth, self.late[:0])
        late = self.late.filter(pl.col("row").is_between(truth["row"][0], truth["row"][-1]))
        return _Block(rows, truth, late)


def _parts(block: _Block) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    return block.rows, block.truth, block.late


def _no_labels() -> pl.DataFrame:
    types = {"row": pl.Int64(), "time": pl.Datetime("us"), "defect": pl.String(), "due_row": pl.Int64()}
    return pl.DataFrame(schema=types)


def line_blocks(scenario: Scenario) -> Iterator[_Block]:
    """The line in blocks of the size in which it is made."""
    instruments = Instruments(usual_deviations())
    last_P: Values = np.random.default_rng((scenario.seed, 0)).standard_normal(len(PROCESSES))
    for number in count():
        block = _Making(scenario, number, instruments)
        disturbances_TP = disturb(last_P, BLOCK_ROWS, block.rng(0))
        last_P = disturbances_TP[-1]
        yield block.make(disturbances_TP)


@lru_cache(maxsize=1)
def usual_deviations() -> Mapping[str, float]:
    """How wide each sensor spreads on a quiet line of bottles."""
    rng = np.random.default_rng(0)
    disturbances_TP = disturb(np.zeros(len(PROCESSES)), 2 * BLOCK_ROWS, rng)
    line = true_state(BOTTLE, 0.0, 0.0, dict(zip(PROCESSES, disturbances_TP.T, strict=True)))
    return {sensor: float(line[sensor].std()) for sensor in LINE_SENSORS}


@dataclass
class _Making:
    """One block in the making."""

    scenario: Scenario
    number: int
    instruments: Instruments
    rows_T: Codes = field(init=False)

    def __post_init__(self) -> None:
        self.rows_T = np.arange(self.number * BLOCK_ROWS, (self.number + 1) * BLOCK_ROWS)

    def rng(self, *what: int) -> np.random.Generator:
        """For one purpose in this block: 0 the processes, 1 inspection, 2 measuring, (3, i) the event i."""
        return np.random.Generator(np.random.SFC64([self.scenario.seed, 1 + self.number, *what]))

    def make(self, disturbances_TP: Values) -> _Block:
        """The block's rows, their truth, and the labels that come later."""
        events, rows_T = self._events(), self.rows_T
        x = dict(zip(PROCESSES, np.ascontiguousarray(disturbances_TP.T), strict=True))
        for i, event in events.items():
            if isinstance(event, DRIFTS) and event.process is not None:
                x[event.process] = x[event.process] + level(event, rows_T, self.rng(3, i))
        wear_T, season_T = wear(self.scenario.line, rows_T), season(self.scenario.line, rows_T)
        state, scores_KT = self._run(x, wear_T, season_T, events)
        codes_T, risk_T = _inspect(scores_KT, self.rng(1))
        said_T = codes_T
        for i, event in events.items():
            said_T = mislabel(event, said_T, self.scenario.labels, rows_T, self.rng(3, i))
        times_T = np.datetime64(START, "us") + rows_T * np.timedelta64(self.scenario.line.row_minutes, "m")
        rows, late = self._rows(times_T, self._measure(state, events), said_T, events)
        truth = {
            "row": rows_T, "product": _named(list(PRODUCTS), self._products()), "wear": wear_T.astype(np.float32),
            "season": season_T.astype(np.float32), "viscosity": state["viscosity"].astype(np.float32),
            "stress_mpa": state["stress_mpa"].astype(np.float32), "risk": risk_T,
            "defect": _named(self.scenario.labels, codes_T), "events": self._active(events),
        }  # fmt: skip
        return _Block(rows, pl.DataFrame(truth), late)

    def _events(self) -> dict[int, AnyEvent]:
        first, last = int(self.rows_T[0]), int(self.rows_T[-1])
        return {i: event for i, event in enumerate(self.scenario.events) if touches(event, first, last)}

    def _products(self) -> Codes:
        line = self.scenario.line
        names = list(PRODUCTS)
        turns = np.array([names.index(name) for name in line.products])
        return turns[self.rows_T // line.campaign_rows % len(turns)]

    def _run(
        self, x: Mapping[str, Values], wear_T: Values, season_T: Values, events: Mapping[int, AnyEvent]
    ) -> tuple[dict[str, Values], Values]:
        """What is really so, and how far each defect's cause lies above its limit, (K, T)."""
        codes_T = self._products()
        edges = [0, *(np.flatnonzero(np.diff(codes_T)) + 1).tolist(), len(codes_T)]
        parts = [
            self._run_product(list(PRODUCTS.values())[codes_T[a]], slice(a, b), x, wear_T, season_T)
            for a, b in pairwise(edges)
        ]
        state = {name: np.concatenate([part[0][name] for part in parts]) for name in parts[0][0]}
        scores_KT = np.concatenate([part[1] for part in parts], axis=1)
        for event in events.values():
            if isinstance(event, Concept):
                scores_KT[self.scenario.defects.index(event.defect)] += event.strength * within(event, self.rows_T)
        return state, scores_KT

    def _run_product(
        self, product: Product, part: slice, x: Mapping[str, Values], wear_T: Values, season_T: Values
    ) -> tuple[dict[str, Values], Values]:
        cut = {name: values_T[part] for name, values_T in x.items()}
        state = true_state(product, wear_T[part], season_T[part], cut)
        found = excesses(product, wear_T[part], cut, state)
        return state, np.stack([found[defect] for defect in self.scenario.defects])

    def _measure(self, state: Mapping[str, Values], events: Mapping[int, AnyEvent]) -> dict[str, Readings]:
        """What the instruments write down."""
        line, rng, rows = self.scenario.line, self.rng(2), len(self.rows_T)
        read: dict[str, Readings] = {}
        noise_ST = rng.standard_normal((len(LINE_SENSORS), rows), dtype=np.float32)
        for noise_T, sensor in zip(noise_ST, LINE_SENSORS, strict=True):
            noise_T *= line.noise * self.instruments.deviations[sensor]
            noise_T += state[sensor].astype(np.float32)
            read[sensor] = noise_T
        for i, event in events.items():
            misread(event, i, read, self.rows_T, self.instruments, self.rng(3, i))
        lost = rng.integers(0, noise_ST.size, rng.binomial(noise_ST.size, line.missing))
        noise_ST.ravel()[lost] = np.nan
        for sensor, digits in LINE_SENSORS.items():
            np.round(read[sensor], digits, out=read[sensor])
        return read

    def _rows(
        self,
        times_T: NDArray[np.datetime64],
        read: Mapping[str, Readings],
        said_T: Codes,
        events: Mapping[int, AnyEvent],
    ) -> tuple[pl.DataFrame, pl.DataFrame]:
        """The rows as they arrive, and the labels that come later, with the row at which they do."""
        time, said = pl.Series("time", times_T), _named(self.scenario.labels, said_T)
        sensors = [pl.Series(sensor, read_T, nan_to_null=True) for sensor, read_T in read.items()]
        late_T, due_T = np.zeros(len(said_T), dtype=bool), np.zeros(len(said_T), dtype=np.int64)
        for event in events.values():
            if isinstance(event, LateLabels):
                hit_T = within(event, self.rows_T)
                late_T, due_T = late_T | hit_T, np.where(hit_T, self.rows_T + event.delay, due_T)
        if not late_T.any():
            return pl.DataFrame([time, *sensors, said.alias("defect")]), _no_labels()
        labels = {"row": self.rows_T, "time": time, "defect": said, "due_row": due_T}
        mask = pl.Series(late_T)
        now = pl.select(pl.when(~mask).then(said).alias("defect"))["defect"]
        return pl.DataFrame([time, *sensors, now]), pl.DataFrame(labels).filter(mask)

    def _active(self, events: Mapping[int, AnyEvent]) -> NDArray[np.uint64]:
        active_T = np.zeros(len(self.rows_T), dtype=np.uint64)
        for i, event in events.items():
            active_T |= within(event, self.rows_T).astype(np.uint64) << np.uint64(i)
        return active_T


def wear(line: LineConfig, rows_T: Codes) -> Values:
    """The furnace's at each row: it grows by the day, and every repair takes a share of it back."""
    days_T = rows_T.astype(np.float64) * (line.row_minutes / DAY_MINUTES)
    if line.maintenance_days is None:
        return line.wear_per_day * days_T
    period, left = line.maintenance_days, 1 - line.mended
    repairs_T = days_T // period
    periods_left_T: Values = repairs_T if left == 1 else left * (1 - left**repairs_T) / (1 - left)
    return line.wear_per_day * (days_T % period + period * periods_left_T)


def season(line: LineConfig, rows_T: Codes) -> Values:
    """The weather at each row, from −1 (winter) to 1, and from night to noon around it."""
    minutes_T = rows_T * line.row_minutes + 60 * START.hour
    day_T = minutes_T / DAY_MINUTES + START.timetuple().tm_yday
    year_T = -np.cos(2 * np.pi * (day_T - COLDEST_DAY) / YEAR_DAYS)
    return line.year * year_T + line.day * np.cos(2 * np.pi * (minutes_T - WARMEST_MINUTE) / DAY_MINUTES)


def _inspect(scores_KT: Values, rng: np.random.Generator) -> tuple[Codes, NDArray[np.float32]]:
    """Each row's defect, 0 for none, drawn with the softmax's chances, and the chance of any.

    The same law as that of the largest of scores blurred by Gumbel noise, as `data.plant` draws it.
    """
    odds_KT = np.exp(np.minimum(scores_KT / BLUR, 80)).cumsum(axis=0)
    total_T = 1 + odds_KT[-1]
    drawn_T = rng.random(scores_KT.shape[1]) * total_T
    codes_T = (drawn_T[None] >= np.concatenate([np.ones((1, len(drawn_T))), 1 + odds_KT[:-1]])).sum(0)
    return codes_T, (odds_KT[-1] / total_T).astype(np.float32)


def _named(names: list[str] | tuple[str, ...], codes_T: Codes) -> pl.Series:
    return pl.Series(list(names)).gather(codes_T)
