from pathlib import Path

import polars as pl
import pytest
import yaml

from data.guess import guess_pipeline
from deployments.pipeline import PipelineConfig

ROWS = 200


def write(path: Path, **columns: object) -> Path:
    pl.DataFrame(columns).write_csv(path)
    return path


def plant(path: Path) -> Path:
    minutes = pl.datetime_range(pl.datetime(2026, 1, 1), pl.datetime(2026, 1, 1, 3, 19), "1m", eager=True)
    return write(
        path,
        id=list(range(ROWS)),
        time=minutes,
        unit=[1 + i // 100 for i in range(ROWS)],
        heat=[-200.0 if i % 20 == 0 else 20.0 + i % 7 for i in range(ROWS)],
        flow=[0.1 * (i % 13) for i in range(ROWS)],
        operator=["ann" if i % 3 else "bob" for i in range(ROWS)],
        fault=["ok" if i % 5 else "leak" for i in range(ROWS)],
    )


def test_roles_are_guessed_and_said(tmp_path: Path) -> None:
    guess = guess_pipeline(plant(tmp_path / "my plant.csv"))
    config = PipelineConfig.parse(yaml.safe_load(guess.yaml_text), "guess")
    assert (config.name, config.task) == ("my-plant", "classification")
    assert (config.data.target, config.data.timestamp, config.data.group) == ("fault", "time", "unit")
    assert config.data.features.include == ["heat", "flow"]
    assert config.data.missing == [-200.0]
    said = "\n".join(guess.notes)
    assert "target fault has 2 classes: leak, ok" in said
    assert "could be the target: operator" in said
    assert "left out: id, operator" in said


def test_a_last_column_of_many_values_is_a_regression(tmp_path: Path) -> None:
    path = write(tmp_path / "x.csv", a=[i % 9 for i in range(50)], b=[i * 0.37 for i in range(50)])
    guess = guess_pipeline(path)
    config = PipelineConfig.parse(yaml.safe_load(guess.yaml_text), "guess")
    assert (config.task, config.data.target, config.data.timestamp) == ("regression", "b", None)
    assert "no timestamp: order of arrival is time" in guess.notes


def test_what_is_no_table_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    path.write_bytes(b"not parquet")
    with pytest.raises(ValueError, match=r"x\.parquet cannot be read as a table"):
        guess_pipeline(path)
    with pytest.raises(ValueError, match="no column of numbers beside the target"):
        guess_pipeline(write(tmp_path / "y.csv", label=["a", "b"] * 20))
