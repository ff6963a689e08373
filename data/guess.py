"""A first pipeline file, guessed from a data file."""

import re
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import polars as pl
import yaml

from data.config import Task
from data.sources import Arrival, iter_arrivals

SENTINELS = (-200.0, -999.0, -9999.0, -99.0, 999.0, 9999.0)
SENTINEL_SHARE = 0.005
MOST_CLASSES = 20
TARGET_WORDS = ("target", "label", "class", "y", "defect", "failure", "fault", "quality", "rain", "cnt", "count")
GROUP_WORDS = ("unit", "line", "machine", "session", "group", "station", "furnace")


@dataclass(frozen=True)
class Guess:
    """The text of a pipeline file, and what was guessed, a sentence each."""

    yaml_text: str
    notes: list[str]


def guess_pipeline(path: Path) -> Guess:
    """Guess task, target, features, timestamp, group and sentinels from the first rows of a CSV or Parquet file.

    Raises ValueError for a file that cannot be read as a table, or has no column that could be a target.
    """
    frame = _read(next(iter_arrivals([path])))
    timestamp = _timestamp(frame)
    group = next((c for c in frame.columns if c.lower() in GROUP_WORDS and c != timestamp), None)
    ids = [c for c in frame.columns if c not in (timestamp, group) and _is_running_number(frame[c])]
    numbers = [c for c in frame.columns if c not in (timestamp, group, *ids) and frame[c].dtype.is_numeric()]
    target, others = _target(frame, [c for c in frame.columns if c not in (timestamp, group, *ids)])
    task = _task(frame[target])
    features = [c for c in numbers if c != target]
    if not features:
        raise ValueError(f"{path}: there is no column of numbers beside the target {target!r} to learn from")
    missing = _sentinels(frame, numbers)
    left_out = [c for c in frame.columns if c not in (*features, target, timestamp, group)]
    data: dict[str, Any] = {"features": {"include": features}, "target": target}
    data |= {"timestamp": timestamp, "group": group, "missing": missing}
    document = {"name": _name(path), "task": task, "data": data}
    text = yaml.safe_dump(document, sort_keys=False, allow_unicode=True, default_flow_style=None, width=110)
    notes = [
        f"task {task}: the target {target} {_look(frame[target], task)}",
        *([f"other columns that could be the target: {', '.join(others)}"] if others else []),
        f"{len(features)} features: all columns of numbers",
        f"timestamp {timestamp}" if timestamp else "no timestamp: order of arrival is time",
        *([f"group {group}: windows never cross it"] if group else []),
        *([f"{', '.join(f'{m:g}' for m in missing)} taken as 'no reading'"] if missing else []),
        *([f"left out: {', '.join(left_out)}"] if left_out else []),
    ]
    return Guess(text, notes)


def task_of_target(arrival: Arrival, target: str) -> Task:
    """Whether a target has classes or values; raises ValueError where the file cannot be read or lacks the column."""
    frame = _read(arrival)
    if target not in frame.columns:
        raise ValueError(f"{arrival.name} has no column {target!r}; it has {', '.join(frame.columns)}")
    return _task(frame[target])


def _read(arrival: Arrival) -> pl.DataFrame:
    try:
        if arrival.format == "parquet":
            return pl.read_parquet(BytesIO(arrival.content))
        return pl.read_csv(BytesIO(arrival.content), infer_schema_length=10_000, try_parse_dates=True)
    except (pl.exceptions.PolarsError, OSError) as error:
        raise ValueError(f"{arrival.name} cannot be read as a table: {error}") from None


def _timestamp(frame: pl.DataFrame) -> str | None:
    return next((c for c in frame.columns if frame[c].dtype.is_temporal()), None)


def _is_running_number(column: pl.Series) -> bool:
    """A row's number or another key: whole numbers that only go up by one, or text that never repeats."""
    if column.dtype.is_integer():
        return column.len() > 1 and bool((column.diff().drop_nulls() == 1).all())
    return column.dtype == pl.String and column.n_unique() > max(MOST_CLASSES, column.len() // 2)


def _target(frame: pl.DataFrame, columns: list[str]) -> tuple[str, list[str]]:
    """The likeliest target, and the other candidates: by name, then few classes, then the last column."""
    named = [c for c in columns if re.split(r"[^a-z0-9]+", c.lower())[-1] in TARGET_WORDS]
    texts = [c for c in columns if _is_text(frame[c]) and 2 <= frame[c].n_unique() <= MOST_CLASSES]
    last = [c for c in columns[-1:] if frame[c].dtype.is_numeric() or c in texts]
    found = list(dict.fromkeys([*named, *texts, *last]))
    if not found:
        raise ValueError("no column looks like a target: name one under data.target")
    return found[0], found[1:]


def _is_text(column: pl.Series) -> bool:
    return column.dtype == pl.String or column.dtype == pl.Boolean


def _task(column: pl.Series) -> Task:
    if _is_text(column):
        return "classification"
    few = column.drop_nulls().n_unique() <= MOST_CLASSES
    return "classification" if few and (column.dtype.is_integer() or _whole(column)) else "regression"


def _whole(column: pl.Series) -> bool:
    known = column.drop_nulls()
    return bool((known == known.round()).all())


def _look(column: pl.Series, task: Task) -> str:
    if task == "regression":
        return f"has {column.n_unique():,} values"
    values = [str(value) for value in column.drop_nulls().unique().sort().to_list()]
    return f"has {len(values)} classes: {', '.join(values)}"


def _sentinels(frame: pl.DataFrame, numbers: list[str]) -> list[float]:
    """Values far outside a column's other values that stand in it again and again."""
    return [value for value in SENTINELS if any(_is_sentinel(frame[c], value) for c in numbers)]


def _is_sentinel(column: pl.Series, value: float) -> bool:
    hits = column == value
    others = column.filter(~hits).drop_nulls()
    if hits.sum() < max(2, SENTINEL_SHARE * len(column)) or others.is_empty():
        return False
    low, high = float(others.min()), float(others.max())  # pyright: ignore[reportArgumentType]
    return not low - 0.5 * (high - low) <= value <= high + 0.5 * (high - low)


def _name(path: Path) -> str:
    kept = "".join(c if c.isalnum() and c.isascii() else "-" for c in path.name.split(".")[0].lower())
    return kept.strip("-") or "pipeline"
