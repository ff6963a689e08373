"""What a node learns from: its samples, with the names of its sensors and of its classes.

Shapes: N rows, B samples, L window length, C sensors.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import torch

from data.config import DataConfig, Task
from data.landing import sound_rows
from data.readers import BadBatch, read_batch, read_columns
from data.samples import Samples
from data.schema import Schema, resolve_schema
from data.sources import Arrival, iter_arrivals
from data.splits import mark_rows
from data.windows import classes_of, make_samples

LEAST_SAMPLES = 20
"""With fewer a sum over the rows, or an update, would say too much about single ones."""


@dataclass(frozen=True)
class NodeData:
    """labels: the classes by number in `samples`; None for values.

    table, schema: the rows, marked as to learn from or held out, where they came as a table; else all are learned from.
    deliveries: the SHA-256 of each file, by its batch's number from 1.
    """

    sensors: tuple[str, ...]
    task: Task
    labels: tuple[str, ...] | None
    samples: Samples
    table: pl.DataFrame | None = None
    schema: Schema | None = None
    deliveries: tuple[str, ...] = ()

    @property
    def outputs(self) -> int:
        """Values of each target; classes are the federation's business."""
        return 1 if self.labels is not None or self.samples.targets_B.dim() == 1 else self.samples.targets_B.shape[1]

    def among(self, sensors: Sequence[str], labels: Sequence[str] | None) -> Samples:
        """The samples with a federation's sensors and classes; a sensor that is not here is missing in every row.

        Raises ValueError for sensors or classes of this node that the federation does not have.
        """
        if unknown := [*({*self.sensors} - {*sensors}), *({*(self.labels or ())} - {*(labels or ())})]:
            raise ValueError(f"the federation does not know {', '.join(sorted(unknown))}")
        rows_NC = torch.full((len(self.samples.rows_NC), len(sensors)), torch.nan)
        rows_NC[:, [sensors.index(s) for s in self.sensors]] = self.samples.rows_NC
        targets = self.samples.targets_B
        if self.labels is not None and labels is not None:
            targets = torch.tensor([labels.index(label) for label in self.labels], dtype=torch.int64)[targets]
        return Samples(rows_NC, self.samples.starts_B, self.samples.length, targets, self.samples.batches_B)


def node_data(source: Any, data: DataConfig | None = None, task: Task | None = None) -> NodeData:
    """What a source holds.

    source: `NodeData`, `Samples`, a pair of arrays (readings (B, C) or (B, L, C), and a class or a value for each), a
    data frame, or the path of a CSV or Parquet file or of a folder of them; `data` says which columns of a table are
    what. Raises ValueError, saying what is wrong, for anything else.
    """
    match source:
        case NodeData():
            found = source
        case Samples():
            found = _from_samples(source)
        case pl.DataFrame() | pd.DataFrame():
            table = source if isinstance(source, pl.DataFrame) else pl.from_pandas(source)
            found = _from_tables([_as_arrival(table)], _needed(data), task)
        case str() | Path():
            found = _from_tables(list(iter_arrivals([Path(source)])), _needed(data), task)
        case (inputs, targets):
            found = _from_arrays(np.asarray(inputs, dtype=np.float32), np.asarray(targets))
        case _:
            raise ValueError(
                f"a {type(source).__name__} is no source of a node: give Samples, arrays, a frame or a path"
            )
    if len(found.samples) < LEAST_SAMPLES:
        raise ValueError(f"{len(found.samples)} samples are too few for a node; {LEAST_SAMPLES} at least")
    _check_numbers(found.samples)
    return found


def _check_numbers(samples: Samples) -> None:
    """Raise ValueError where there is nothing to learn from; single readings may be missing, which NaN says."""
    if torch.isinf(samples.rows_NC).any():
        raise ValueError("a reading is infinite; one that is missing is NaN")
    if torch.isnan(samples.rows_NC).all():
        raise ValueError("all readings are missing: there is nothing to learn from")
    if samples.targets_B.is_floating_point() and not torch.isfinite(samples.targets_B).all():
        raise ValueError("a target is no finite number")


def _from_samples(samples: Samples) -> NodeData:
    sensors = tuple(f"x{i}" for i in range(1, samples.rows_NC.shape[1] + 1))
    if samples.targets_B.is_floating_point():
        return NodeData(sensors, "regression", None, samples)
    count = int(samples.targets_B.max()) + 1 if len(samples) else 0
    return NodeData(sensors, "classification", tuple(str(k) for k in range(count)), samples)


def _from_arrays(inputs: np.ndarray, targets: np.ndarray) -> NodeData:
    if inputs.ndim not in (2, 3) or len(inputs) != len(targets):
        raise ValueError(
            f"readings {inputs.shape} do not fit targets {targets.shape}; give (B, C) or (B, L, C), and a target each"
        )
    length = inputs.shape[1] if inputs.ndim == 3 else 1
    rows_NC = torch.from_numpy(inputs.reshape(-1, inputs.shape[-1]).copy())
    starts_B, ones_B = torch.arange(len(inputs)) * length, torch.ones(len(inputs), dtype=torch.int64)
    sensors = tuple(f"x{i}" for i in range(1, rows_NC.shape[1] + 1))
    if np.issubdtype(targets.dtype, np.floating):
        values = torch.from_numpy(targets.astype(np.float32))
        return NodeData(sensors, "regression", None, Samples(rows_NC, starts_B, length, values, ones_B))
    known, numbers_B = np.unique(targets, return_inverse=True)
    samples = Samples(rows_NC, starts_B, length, torch.from_numpy(numbers_B.astype(np.int64)), ones_B)
    return NodeData(sensors, "classification", tuple(str(label) for label in known), samples)


def _from_tables(arrivals: Sequence[Arrival], data: DataConfig, task: Task | None) -> NodeData:
    if not arrivals:
        raise ValueError("the source holds no files")
    try:
        columns = read_columns(arrivals[0])
        schema = resolve_schema(data, task or _task_of(arrivals[0], data, columns), columns)
        frames = [
            mark_rows(sound_rows(read_batch(arrival, schema), schema.group, ()), data, number)
            for number, arrival in enumerate(arrivals, start=1)
        ]
    except BadBatch as bad:
        raise ValueError(f"{arrivals[0].name}: {bad.reason}") from None
    table = pl.concat(frames)
    learned = table.filter(pl.col("lehr_split") == "train")
    classes = classes_of(learned, schema)
    samples = make_samples(learned, schema, data.window.length, classes)
    labels, deliveries = None if classes is None else tuple(classes), tuple(arrival.id for arrival in arrivals)
    return NodeData(schema.features, schema.task, labels, samples, table, schema, deliveries)


def _task_of(arrival: Arrival, data: DataConfig, columns: Sequence[str]) -> Task:
    """Numbers with a fraction are values; whole ones and texts are classes."""
    schema = resolve_schema(data, "classification", columns)
    labels = read_batch(arrival, Schema((), schema.target, None, None, "classification", schema.missing))[schema.target]
    numbers = labels.drop_nulls().cast(pl.Float64, strict=False)
    return "regression" if numbers.null_count() == 0 and (numbers % 1 != 0).any() else "classification"


def _as_arrival(table: pl.DataFrame) -> Arrival:
    buffer = BytesIO()
    table.write_parquet(buffer)
    return Arrival("the data frame", buffer.getvalue(), "parquet")


def _needed(data: DataConfig | None) -> DataConfig:
    if data is None:
        raise ValueError("a table needs to be told what its columns are: data={'target': …} as in a pipeline file")
    return data


def named_sources(sources: Mapping[str, Any] | Sequence[Any]) -> dict[str, Any]:
    """The sources by the names of their nodes: node-1, node-2 and so on where they have none."""
    if isinstance(sources, Mapping):
        return {str(name): source for name, source in sources.items()}
    return {f"node-{number:0{len(str(len(sources)))}}": source for number, source in enumerate(sources, start=1)}
