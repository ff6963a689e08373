"""A pipeline's past, read from a source as the loop would have read it; nothing of the loop's state is touched."""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import polars as pl

from data.landing import sound_rows
from data.readers import BadBatch, read_batch
from data.samples import Samples
from data.schema import Schema, resolve_schema
from data.sources import Arrival
from data.splits import mark_rows
from data.suite import infer_suite, load_suite
from data.validation import validate
from data.windows import classes_of, make_samples
from deployments.drafts import Classes
from deployments.line import first_columns, suite_path_of
from deployments.pipeline import PipelineConfig


@dataclass(frozen=True)
class PastBatch:
    """A batch that validation let through: its sound rows as the feature store would hold them."""

    number: int
    id: str
    name: str
    rows: pl.DataFrame


@dataclass(frozen=True)
class Refused:
    """A batch that validation refused whole."""

    name: str
    reason: str


@dataclass(frozen=True)
class History:
    """The batches of a source in order, by their places 0, 1, …

    suite: the SHA-256 of the expectations that they were checked by.
    """

    config: PipelineConfig
    schema: Schema
    batches: tuple[PastBatch, ...]
    refused: tuple[Refused, ...]
    suite: str
    _pools: dict[tuple[str, tuple[str, ...]], Samples] = field(default_factory=dict[Any, Any], repr=False)

    def __len__(self) -> int:
        return len(self.batches)

    def without_samples(self) -> "History":
        """The same, for another process: its samples are made there."""
        return replace(self, _pools={})

    def rows(self, places: range, split: str | None = None) -> pl.DataFrame:
        """The rows of some batches, of one split or all."""
        frame = pl.concat([self.batches[place].rows for place in places])
        return frame if split is None else frame.filter(pl.col("lehr_split") == split)

    def classes(self, places: range) -> Classes:
        """The labels in the training rows of some batches, sorted; None for regression."""
        return classes_of(self.rows(places, "train"), self.schema)

    def training_samples(self, places: range, classes: Classes) -> Samples:
        """Labelled training samples of some batches, over rows that all who ask share."""
        return self._samples("train", places, classes)

    def scored_samples(self, places: range, classes: Classes) -> Samples:
        """All labelled samples of some batches as the loop scores them: a class that is not known is −1."""
        return self._samples("all", places, classes)

    def held_out_samples(self, place: int, classes: Classes) -> Samples:
        """Labelled held-out samples of one batch; a class that is not known is −1."""
        return self._samples("holdout", range(place, place + 1), classes)

    def time(self, place: int) -> datetime | None:
        """When the batch's last row was read; None where the pipeline has no timestamp."""
        timestamp = self.schema.timestamp
        return None if timestamp is None else self.batches[place].rows[timestamp].drop_nulls().max()  # pyright: ignore

    def _samples(self, kind: str, places: range, classes: Classes) -> Samples:
        key = (kind, tuple(classes or ()))
        if key not in self._pools:
            rows = self.rows(range(len(self)), None if kind == "all" else kind)
            if kind == "all":  # windows may cross what is held out
                rows = rows.with_columns(pl.lit("all").alias("lehr_split"))
            length = self.config.data.window.length
            self._pools[key] = make_samples(rows, self.schema, length, classes, keep_unknown=kind != "train")
        pool = self._pools[key]
        heights = [self._height(place, kind) for place in range(places.stop)]
        return _of_rows(pool, sum(heights[: places.start]), sum(heights))

    def _height(self, place: int, kind: str) -> int:
        rows = self.batches[place].rows
        return rows.height if kind == "all" else int((rows["lehr_split"] == kind).sum())


def read_history(pipeline: Path, config: PipelineConfig, arrivals: Iterable[Arrival]) -> History:
    """Read, validate and split all arrivals as the loop does; the same bytes again are left out.

    A suite beside the pipeline file is kept to; where there is none, one is inferred as the loop would, but not saved.
    Raises ValueError for a mistake in file or suite, and where not two batches are sound.
    """
    known = {arrival.id: arrival for arrival in arrivals}
    schema = resolve_schema(config.data, config.task, first_columns(config, known.values()))
    path = suite_path_of(config.validation, pipeline)
    suite = load_suite(path) if path.exists() else None
    batches: list[PastBatch] = []
    refused: list[Refused] = []
    for number, arrival in enumerate(known.values(), start=1):
        try:
            frame = read_batch(arrival, schema)
        except BadBatch as bad:
            refused.append(Refused(arrival.name, bad.reason))
            continue
        suite = infer_suite(frame, schema) if suite is None else suite
        report = validate(frame, schema, suite, config.validation.max_quarantined_share, config.data.window.length)
        if report.refusal is not None:
            refused.append(Refused(arrival.name, report.refusal))
            continue
        sound = sound_rows(frame, schema.group, report.reasons)
        batches.append(PastBatch(number, arrival.id, arrival.name, mark_rows(sound, config.data, number)))
    if len(batches) < 2:
        raise ValueError(f"a history needs two sound batches, the source holds {len(batches)}: give it --batch-rows?")
    return History(config, schema, tuple(batches), tuple(refused), _digest(suite))


def _of_rows(pool: Samples, start: int, stop: int) -> Samples:
    """The samples whose windows lie in some rows, over these rows alone."""
    inside_B = ((pool.starts_B >= start) & (pool.starts_B + pool.length <= stop)).nonzero().flatten()
    rows_NC = pool.rows_NC[start:stop]
    return Samples(
        rows_NC, pool.starts_B[inside_B] - start, pool.length, pool.targets_B[inside_B], pool.batches_B[inside_B]
    )


def _digest(content: Any) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode()).hexdigest()
