"""Readings that nothing learns from: a faulty sensor's, named by triage, until a person releases them.

They stay in the feature store as they came. Whatever learns, judges or remembers reads the store through here, where
they are missing readings; a row that keeps no reading at all is left out.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl
from pydantic import TypeAdapter

from data.ledger import Ledger
from deployments.line import Line
from monitoring.causes import Readings, Triage

TRIAGE, RELEASE = "triage", "release"

_ADAPTER = TypeAdapter(Triage)


def readings_set_aside(ledger: Ledger, pipeline: str) -> dict[int, tuple[Readings, ...]]:
    """What is set aside, by batch; rows are those of the delivered file, from 1."""
    released = ledger.outcomes(pipeline, RELEASE)
    named = ledger.outcomes(pipeline, TRIAGE)
    return {
        number: _ADAPTER.validate_python(outcome).set_aside
        for number, outcome in named.items()
        if outcome["set_aside"] and number not in released
    }


def faulty_batches(ledger: Ledger, pipeline: str) -> list[int]:
    """Batches that said more about a sensor than about the process, released or not."""
    return ledger.batches_where(pipeline, TRIAGE, "cause", "sensor_fault")


def sound_rows(line: Line, numbers: range, split: str | None = None) -> pl.DataFrame:
    """What can be learned from under these numbers (`FeatureStore.read_labelled`), without what is set aside."""
    return sound(line, line.store.read_labelled(numbers, split))


def sound_holdout(line: Line, through: int) -> pl.DataFrame:
    """The held-out rows that judge after a batch, without what is set aside."""
    return sound(line, line.store.read_holdout(through))


def sound(line: Line, rows: pl.DataFrame) -> pl.DataFrame:
    """Stored rows without what is set aside."""
    return without_readings(rows, line.schema.features, readings_set_aside(line.ledger, line.name))


def without_readings(
    rows: pl.DataFrame, features: Sequence[str], set_aside: Mapping[int, Sequence[Readings]]
) -> pl.DataFrame:
    """The rows with these readings missing; a row that keeps none is left out."""
    by_feature: dict[str, list[tuple[int, Readings]]] = {}
    for number, readings in set_aside.items():
        for part in readings:
            by_feature.setdefault(part.feature, []).append((number, part))
    if not by_feature:
        return rows
    wrong = {
        feature: pl.any_horizontal(_within(number, part) for number, part in parts)
        for feature, parts in by_feature.items()
    }
    blanked = rows.with_columns(
        pl.when(where).then(None).otherwise(pl.col(feature)).alias(feature) for feature, where in wrong.items()
    )
    return blanked.filter(pl.any_horizontal(pl.col(list(features)).is_not_null()))


def without_signals(rows: pl.DataFrame, set_aside: Mapping[int, Sequence[Readings]]) -> pl.DataFrame:
    """The rows, a signal each, of which no channel is set aside: a network hears all channels of a signal or none."""
    wrong = [_within(number, part) for number, parts in set_aside.items() for part in parts]
    return rows.filter(~pl.any_horizontal(wrong)) if wrong else rows


def release(ledger: Ledger, pipeline: str, batch: int, reason: str) -> tuple[Readings, ...]:
    """Let the loop learn from a batch's readings after all; returns those that were set aside.

    Raises ValueError, with what is allowed, where nothing of the batch is.
    """
    held = readings_set_aside(ledger, pipeline)
    if batch not in held:
        allowed = ", ".join(map(str, held)) or "none"
        raise ValueError(
            f"nothing of batch {batch} of {pipeline} is set aside; batches with readings set aside: {allowed}"
        )
    entry = next(entry for entry in ledger.batches(pipeline) if entry.number == batch)
    ledger.record_step(pipeline, entry.batch_id, RELEASE, {"reason": reason})
    return held[batch]


def _within(number: int, readings: Readings) -> pl.Expr:
    row: Any = pl.col("lehr_row")
    return (pl.col("lehr_batch") == number) & row.is_between(readings.first, readings.last)
