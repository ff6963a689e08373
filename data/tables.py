"""The ledger's tables."""

from datetime import UTC, datetime
from typing import Any, ClassVar

from sqlalchemy import JSON, DateTime, Index, MetaData, String, TypeDecorator, UniqueConstraint
from sqlalchemy.engine import Dialect
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

NAMING = {
    "ix": "ix_%(column_0_label)s",
    "uq": "uq_%(table_name)s_%(column_0_name)s_%(column_1_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s",
    "pk": "pk_%(table_name)s",
}


class UtcTime(TypeDecorator[datetime]):
    """A moment, kept in UTC also where the database knows no time zones."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        assert value is None or value.tzinfo is not None, "a moment needs its time zone"
        return None if value is None else value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None or value.tzinfo is not None:
            return value
        return value.replace(tzinfo=UTC)


class Table(DeclarativeBase):
    """What all tables share."""

    metadata = MetaData(naming_convention=NAMING)
    type_annotation_map: ClassVar[dict[Any, Any]] = {datetime: UtcTime(), dict[str, Any]: JSON, Any: JSON}


class Chained(Table):
    """What the tables share whose rows are linked into the ledger's chain (`data.chain`)."""

    __abstract__ = True


class ChainRow(Table):
    """A link of the chain: a row that was written, and the hashes of its values and of all links before."""

    __tablename__ = "chain"

    sequence: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    table: Mapped[str] = mapped_column(String(50))
    key: Mapped[str]
    row_sha256: Mapped[str] = mapped_column(String(64))
    fields: Mapped[dict[str, Any]]
    sha256: Mapped[str] = mapped_column(String(64))


class PipelineRow(Chained):
    """A pipeline and the columns that its data were declared to have."""

    __tablename__ = "pipelines"

    name: Mapped[str] = mapped_column(String(200), primary_key=True)
    schema: Mapped[dict[str, Any]]


class BatchRow(Chained):
    """A batch that came, by its number in order of arrival."""

    __tablename__ = "batches"
    __table_args__ = (UniqueConstraint("pipeline", "batch_id"),)

    pipeline: Mapped[str] = mapped_column(String(200), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    batch_id: Mapped[str] = mapped_column(String(64))
    name: Mapped[str]
    arrived_at: Mapped[datetime]


class StepRow(Chained):
    """What one step of the loop said it did with a batch: written once."""

    __tablename__ = "steps"

    pipeline: Mapped[str] = mapped_column(String(200), primary_key=True)
    batch_id: Mapped[str] = mapped_column(String(64), primary_key=True)
    step: Mapped[str] = mapped_column(String(100), primary_key=True)
    result: Mapped[Any]
    at: Mapped[datetime]


class VersionRow(Chained):
    """A model version that was exported whole."""

    __tablename__ = "versions"

    pipeline: Mapped[str] = mapped_column(String(200), primary_key=True)
    version: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    sha256: Mapped[str] = mapped_column(String(64))
    parent: Mapped[int | None]
    batch: Mapped[int]
    made_by: Mapped[str] = mapped_column(String(50))
    created_at: Mapped[datetime]


class PromotionRow(Chained):
    """One version put into production; `(pipeline, sequence)` being unique is the compare-and-swap."""

    __tablename__ = "promotions"

    pipeline: Mapped[str] = mapped_column(String(200), primary_key=True)
    sequence: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    version: Mapped[int]
    previous: Mapped[int | None]
    verdict: Mapped[Any]
    reason: Mapped[str]
    at: Mapped[datetime]


class PredictionRow(Chained):
    """A request for predictions that was answered, by whom, and the hashes of what came in and what went out."""

    __tablename__ = "predictions"
    __table_args__ = (Index("ix_predictions_pipeline_at", "pipeline", "at"),)

    request: Mapped[str] = mapped_column(String(20), primary_key=True)
    pipeline: Mapped[str] = mapped_column(String(200))
    at: Mapped[datetime]
    version: Mapped[int]
    version_sha256: Mapped[str] = mapped_column(String(64))
    input_name: Mapped[str]
    input_sha256: Mapped[str] = mapped_column(String(64))
    rows: Mapped[int]
    record_sha256: Mapped[str] = mapped_column(String(64))


class TrainingRunRow(Table):
    """A training run: what others want of it, and what it is doing."""

    __tablename__ = "training_runs"

    id: Mapped[str] = mapped_column(String(200), primary_key=True)
    name: Mapped[str]
    config: Mapped[dict[str, Any]]
    desired: Mapped[str] = mapped_column(String(20))
    state: Mapped[str] = mapped_column(String(20))
    reason: Mapped[str | None]
    created_at: Mapped[datetime]
    changed_at: Mapped[datetime]


class TrainingEventRow(Table):
    """Something that happened in a training run, by its number from 1."""

    __tablename__ = "training_events"

    run_id: Mapped[str] = mapped_column(String(200), primary_key=True)
    sequence: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    kind: Mapped[str] = mapped_column(String(50))
    payload: Mapped[dict[str, Any]]
    at: Mapped[datetime]
