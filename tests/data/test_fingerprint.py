from pathlib import Path

import numpy as np
import polars as pl
import pytest

from data.fingerprint import find_mismatch, take_fingerprint
from data.readers import read_batch, read_columns
from data.schema import Schema, resolve_schema
from data.sources import iter_arrivals
from deployments.pipeline import PipelineConfig

PLACES = {
    "furnace": (1500.0, 10.0),
    "belt": (0.6, 0.02),
    "gas": (900.0, 30.0),
    "mould": (480.0, 15.0),
    "o2": (2.5, 0.3),
}
SCHEMA = Schema(tuple(PLACES), "y", None, None, "regression", ())
PIPELINES = Path(__file__).parents[2] / "deployments" / "pipelines"


def batch(seed: int) -> pl.DataFrame:
    rng = np.random.default_rng(seed)
    return pl.DataFrame({n: rng.normal(m, s, 200).astype(np.float32) for n, (m, s) in PLACES.items()})


FINGERPRINT = take_fingerprint(batch(0), SCHEMA)


@pytest.mark.parametrize(
    ("column", "factor", "offset", "said"),
    [
        ("furnace", 1.8, 32.0, "furnace looks like °C given as °F"),
        ("mould", 1.0, 273.15, "mould looks like °C given as K"),
        ("gas", 0.001, 0.0, "gas looks like a thousandth of the usual unit"),
        ("belt", 1000.0, 0.0, "belt looks like a thousand times the usual unit"),
    ],
)
def test_another_unit_is_named(column: str, factor: float, offset: float, said: str) -> None:
    given = batch(1).with_columns((pl.col(column) * factor + offset).alias(column))
    assert find_mismatch(given, FINGERPRINT) == f"another unit of measurement: {said}"


def test_shifted_columns_are_named() -> None:
    names, given = list(PLACES), batch(1)
    shifted = given.select(pl.col(names[i - 1]).alias(names[i]) for i in range(len(names)))
    said = find_mismatch(shifted, FINGERPRINT)
    assert said is not None
    assert said.startswith("the columns are shifted or swapped: furnace holds what o2 used to")


@pytest.mark.parametrize("shift", [0.0, 1.0, 3.0])
def test_values_that_moved_are_drift_and_pass(shift: float) -> None:
    moved = batch(2).with_columns(pl.col(n) + shift * s for n, (_, s) in PLACES.items())
    assert find_mismatch(moved, FINGERPRINT) is None


@pytest.mark.parametrize(
    ("pipeline", "folder", "rows"),
    [("gas-sensor", "gas_sensor", None), ("weather", "weather", 500), ("gas-turbine-nox", "gas_turbine", 600),
     ("keystroke", "keystroke", 200), ("etth1", "ett", 500), ("bike", "bike_hourly", 500),
     ("electricity", "electricity", 1000), ("air-quality-nox", "air_quality", 200)],
)  # fmt: skip
def test_real_drift_is_never_taken_for_another_unit_or_column(
    shared_data: Path, pipeline: str, folder: str, rows: int | None
) -> None:
    config = PipelineConfig.load(PIPELINES / f"{pipeline}.yaml")
    first: dict[str, list[float]] | None = None
    for arrival in iter_arrivals([shared_data / folder], rows):
        schema = resolve_schema(config.data, config.task, read_columns(arrival))
        frame = read_batch(arrival, schema)
        first = first or take_fingerprint(frame, schema)
        assert find_mismatch(frame, first) is None, arrival.name
