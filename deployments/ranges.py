"""Which of a pipeline's stored rows are meant: by days, moments or batches."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import polars as pl

from data.entries import BatchEntry
from data.schema import Schema


@dataclass(frozen=True)
class Range:
    """Which of the stored rows: those that everything named here allows.

    days: the last before the newest row. since, until: the first moment, and the one before which it ends. batch_ids:
    the batches. A row's time is its timestamp, or where the pipeline has none its batch's arrival.
    """

    days: int | None = None
    since: datetime | None = None
    until: datetime | None = None
    batch_ids: Sequence[str] | None = None


ALL = Range()


def within(rows: pl.DataFrame, schema: Schema, batches: Sequence[BatchEntry], chosen: Range) -> pl.DataFrame:
    """The chosen ones of a pipeline's stored rows; raises ValueError for a batch that never came."""
    if chosen.batch_ids is not None:
        numbers = {entry.batch_id: entry.number for entry in batches}
        unknown = [batch_id for batch_id in chosen.batch_ids if batch_id not in numbers]
        if unknown:
            raise ValueError(f"there is no batch {unknown[0]}; batch ids are the SHA-256 of what was delivered")
        rows = rows.filter(pl.col("lehr_batch").is_in([numbers[batch_id] for batch_id in chosen.batch_ids]))
    if (chosen.days, chosen.since, chosen.until) == (None, None, None):
        return rows
    times = _times(rows, schema, batches)
    since, until, newest = _plain(chosen.since or datetime.min), _plain(chosen.until or datetime.max), times.max()
    kept = (times >= since) & (times < until)
    if chosen.days is not None and isinstance(newest, datetime):
        kept = kept & (times > newest - timedelta(days=chosen.days))
    return rows.filter(kept)


def _times(rows: pl.DataFrame, schema: Schema, batches: Sequence[BatchEntry]) -> pl.Series:
    """The moment of each row, in UTC or, for a timestamp, as the pipeline's own clock has it."""
    if schema.timestamp is not None:
        return rows[schema.timestamp]
    arrivals = {entry.number: _plain(entry.arrived_at) for entry in batches}
    return rows["lehr_batch"].replace_strict(arrivals, return_dtype=pl.Datetime("us"))


def _plain(moment: datetime) -> datetime:
    return moment if moment.tzinfo is None else moment.astimezone(UTC).replace(tzinfo=None)
