"""What the ledger tells of: batches, steps, promotions, versions, predictions."""

from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any

from data.tables import BatchRow, PredictionRow, PromotionRow, VersionRow


@dataclass(frozen=True)
class BatchEntry:
    """A batch that came, by its number in order of arrival."""

    number: int
    batch_id: str
    name: str
    arrived_at: datetime


@dataclass(frozen=True)
class StepResult:
    """What a step said it did with a batch or a request, and when."""

    batch_id: str
    result: Any
    at: datetime


@dataclass(frozen=True)
class Promotion:
    """One version put into production in place of another, and why."""

    sequence: int
    version: int
    previous: int | None
    verdict: Any
    reason: str
    at: datetime


@dataclass(frozen=True)
class VersionEntry:
    """A model version: the SHA-256 of its card, the version and the batch it was made from, and by which rung."""

    version: int
    sha256: str
    parent: int | None
    batch: int
    made_by: str
    created_at: datetime


@dataclass(frozen=True)
class Prediction:
    """An answered request: by which version, and the SHA-256 of what came in and of the record of what went out."""

    request: str
    pipeline: str
    at: datetime
    version: int
    version_sha256: str
    input_name: str
    input_sha256: str
    rows: int
    record_sha256: str


def batch_of(row: BatchRow) -> BatchEntry:
    """A batch, from its row."""
    return BatchEntry(row.number, row.batch_id, row.name, row.arrived_at)


def promotion_of(row: PromotionRow) -> Promotion:
    """A promotion, from its row."""
    return Promotion(row.sequence, row.version, row.previous, row.verdict, row.reason, row.at)


def version_of(row: VersionRow) -> VersionEntry:
    """A version, from its row."""
    return VersionEntry(row.version, row.sha256, row.parent, row.batch, row.made_by, row.created_at)


def prediction_of(row: PredictionRow) -> Prediction:
    """An answered request, from its row."""
    return Prediction(**{field.name: getattr(row, field.name) for field in fields(Prediction)})
