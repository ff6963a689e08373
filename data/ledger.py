"""The ledger: the truth about batches, what was done with them, versions and promotions."""

from collections.abc import Callable, Collection, Iterator
from dataclasses import asdict
from datetime import datetime
from typing import Any

from sqlalchemy import Select, func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from data.chain import ChainedSession
from data.chain_check import ChainCheck, check_chain
from data.database import Commits, open_database, writer
from data.entries import (
    BatchEntry,
    Prediction,
    Promotion,
    StepResult,
    VersionEntry,
    batch_of,
    prediction_of,
    promotion_of,
    version_of,
)
from data.tables import BatchRow, PipelineRow, PredictionRow, PromotionRow, StepRow, VersionRow

NUMBERING_ATTEMPTS = 100
_AT_ONCE = 500
"""Requests that one query names."""


class PromotionConflictError(ValueError):
    """Another version went into production in the meantime."""


class Ledger:
    """The ledger at a database URL; its tables are made or brought up to date when it is opened.

    now: the clock, in a time zone. Any number of processes may use it at once.
    """

    def __init__(self, url: str, now: Callable[[], datetime]) -> None:
        self._now = now
        self._engine = open_database(url)
        self._writer = writer(self._engine)

    def close(self) -> None:
        """Give the connections back."""
        self._engine.dispose()

    def commits(self) -> Commits:
        """Whether anything changes, for those who watch; to be asked and closed in one thread."""
        return Commits(self._engine)

    def pipelines(self) -> list[str]:
        """The names of all pipelines whose columns were declared, sorted."""
        with Session(self._engine) as session:
            return list(session.scalars(select(PipelineRow.name).order_by(PipelineRow.name)))

    def schema(self, pipeline: str) -> dict[str, Any] | None:
        """The columns that were declared for the pipeline; None before any were."""
        with Session(self._engine) as session:
            row = session.get(PipelineRow, pipeline)
            return None if row is None else row.schema

    def declare_schema(self, pipeline: str, schema: dict[str, Any]) -> None:
        """Keep the pipeline's columns in place of those declared before."""
        with ChainedSession(self._writer) as session, session.begin():
            session.merge(PipelineRow(name=pipeline, schema=schema))

    def open_batch(self, pipeline: str, batch_id: str, name: str) -> BatchEntry:
        """The batch's entry: a new one with the next number, or the one it got when it came first."""
        for _ in range(NUMBERING_ATTEMPTS):
            try:
                with ChainedSession(self._writer) as session, session.begin():
                    return batch_of(self._numbered(session, pipeline, batch_id, name))
            except IntegrityError:  # another process took the number, or opened this batch, in between
                continue
        raise ValueError(f"batch {batch_id[:12]} got no number in {NUMBERING_ATTEMPTS} attempts: too many writers")

    def batches(self, pipeline: str) -> list[BatchEntry]:
        """All batches in order of arrival."""
        with Session(self._engine) as session:
            rows = session.scalars(select(BatchRow).filter_by(pipeline=pipeline).order_by(BatchRow.number))
            return [batch_of(row) for row in rows]

    def journal(self, pipeline: str, batch_id: str) -> dict[str, Any]:
        """What each finished step said it did with the batch."""
        with Session(self._engine) as session:
            rows = session.scalars(select(StepRow).filter_by(pipeline=pipeline, batch_id=batch_id).order_by(StepRow.at))
            return {row.step: row.result for row in rows}

    def step(self, pipeline: str, batch_id: str, step: str) -> StepResult | None:
        """What one step said it did with the batch; None before it has."""
        with Session(self._engine) as session:
            row = session.get(StepRow, (pipeline, batch_id, step))
            return None if row is None else StepResult(row.batch_id, row.result, row.at)

    def step_times(self, pipeline: str, batch_id: str) -> dict[str, datetime]:
        """When each step of a batch was written."""
        with Session(self._engine) as session:
            rows = session.scalars(select(StepRow).filter_by(pipeline=pipeline, batch_id=batch_id).order_by(StepRow.at))
            return {row.step: row.at for row in rows}

    def outcomes(self, pipeline: str, step: str, since: int = 1) -> dict[int, Any]:
        """What one step said it did with each batch from a number on, by the batch's number."""
        return dict(self._rows(_outcomes(pipeline, step).where(BatchRow.number >= since).order_by(BatchRow.number)))

    def latest_outcomes(self, pipeline: str, step: str, before: int) -> Iterator[tuple[int, Any]]:
        """What one step said it did with batches before a number, latest first, read only as far as asked for."""
        query, limit = _outcomes(pipeline, step).order_by(BatchRow.number.desc()), 1
        while page := self._rows(query.where(BatchRow.number < before).limit(limit)):
            yield from page
            before, limit = page[-1][0], 2 * limit

    def batches_where(self, pipeline: str, step: str, key: str, text: str) -> list[int]:
        """The numbers of the batches of which a step said this text under a key, in order."""
        query = _outcomes(pipeline, step).with_only_columns(BatchRow.number).order_by(BatchRow.number)
        with Session(self._engine) as session:
            return list(session.scalars(query.where(StepRow.result[key].as_string() == text)))

    def results(self, pipeline: str, step: str) -> dict[str, Any]:
        """What one step said it did, by the batch's id; that of an adopted model is its hash."""
        with Session(self._engine) as session:
            rows = session.scalars(select(StepRow).filter_by(pipeline=pipeline, step=step).order_by(StepRow.at))
            return {row.batch_id: row.result for row in rows}

    def latest_results(self, pipeline: str, step: str, limit: int) -> list[StepResult]:
        """What one step said it did the last times, the newest first."""
        query = select(StepRow).filter_by(pipeline=pipeline, step=step).order_by(StepRow.at.desc()).limit(limit)
        with Session(self._engine) as session:
            return [StepResult(row.batch_id, row.result, row.at) for row in session.scalars(query)]

    def latest_outcome(self, pipeline: str, step: str, before: int, without: Collection[int] = ()) -> Any:
        """What a step said of the latest batch before this number that it did anything with; None before any.

        without: the numbers of batches that do not count.
        """
        return next((result for n, result in self.latest_outcomes(pipeline, step, before) if n not in without), None)

    def record_step(self, pipeline: str, batch_id: str, step: str, result: Any) -> None:
        """Write a step's result once; raises ValueError where it was written before."""
        try:
            with ChainedSession(self._writer) as session, session.begin():
                session.add(self._step(pipeline, batch_id, step, result))
        except IntegrityError:
            raise ValueError(f"the step {step} of batch {batch_id[:12]} was written before") from None

    def register_version(
        self, pipeline: str, version: int, sha256: str, parent: int | None, batch: int, made_by: str
    ) -> None:
        """Note a version that was exported whole; the same one again replaces its note."""
        row = VersionRow(
            pipeline=pipeline,
            version=version,
            sha256=sha256,
            parent=parent,
            batch=batch,
            made_by=made_by,
            created_at=self._now(),
        )
        with ChainedSession(self._writer) as session, session.begin():
            session.merge(row)

    def next_version(self, pipeline: str) -> int:
        """The number after the last registered version's."""
        with Session(self._engine) as session:
            return (session.scalar(select(func.max(VersionRow.version)).filter_by(pipeline=pipeline)) or 0) + 1

    def latest_version(self, pipeline: str, since: datetime, without: Collection[str] = ()) -> int | None:
        """The newest version registered after a moment; None where there is none. without: made by none of these."""
        query = select(func.max(VersionRow.version)).filter_by(pipeline=pipeline).where(VersionRow.created_at > since)
        query = query.where(VersionRow.made_by.not_in(without)) if without else query
        with Session(self._engine) as session:
            return session.scalar(query)

    def version_hash(self, pipeline: str, version: int) -> str:
        """The SHA-256 that a version was registered with; raises ValueError for one that was not."""
        return self.version(pipeline, version).sha256

    def promote(
        self,
        pipeline: str,
        version: int,
        previous: int | None,
        verdict: Any,
        reason: str,
        step: tuple[str, str, Any] | None = None,
    ) -> Promotion:
        """Put a version into production in place of `previous`: compare and swap.

        step: a batch's id, a step's name and its result, written in the same transaction.
        Raises PromotionConflictError where `previous` is not, or no longer, the champion, and ValueError where the
        step was written before.
        """
        row = PromotionRow(pipeline=pipeline, version=version, previous=previous, verdict=verdict, reason=reason)
        try:
            with ChainedSession(self._writer) as session, session.begin():
                champion = session.scalar(_latest_promotion(pipeline))
                if (champion.version if champion else None) != previous:
                    raise PromotionConflictError(_conflict(version, previous, champion))
                row.sequence, row.at = champion.sequence + 1 if champion else 1, self._now()
                session.add_all([row] if step is None else [row, self._step(pipeline, *step)])
                session.flush()
                return promotion_of(row)
        except IntegrityError:
            champion = self.champion(pipeline)
        if step is not None and (champion.version if champion else None) == previous:
            raise ValueError(f"the step {step[1]} of batch {step[0][:12]} was written before")
        raise PromotionConflictError(_conflict(version, previous, champion))

    def champion(self, pipeline: str, at: datetime | None = None) -> Promotion | None:
        """What is in production, or was at a moment; None before the first promotion."""
        query = _latest_promotion(pipeline)
        with Session(self._engine) as session:
            row = session.scalar(query if at is None else query.where(PromotionRow.at <= at))
            return None if row is None else promotion_of(row)

    def history(self, pipeline: str) -> list[Promotion]:
        """All promotions in order."""
        with Session(self._engine) as session:
            rows = session.scalars(select(PromotionRow).filter_by(pipeline=pipeline).order_by(PromotionRow.sequence))
            return [promotion_of(row) for row in rows]

    def record_prediction(self, prediction: Prediction) -> None:
        """Note an answered request; the very same one again changes nothing."""
        try:
            with ChainedSession(self._writer) as session, session.begin():
                session.add(PredictionRow(**asdict(prediction)))
        except IntegrityError:
            if self.prediction(prediction.request) != prediction:
                raise ValueError(f"another request has the id {prediction.request}") from None

    def prediction(self, request: str) -> Prediction | None:
        """The request of this id; None where there is none."""
        with Session(self._engine) as session:
            row = session.get(PredictionRow, request)
            return None if row is None else prediction_of(row)

    def predictions(self, pipeline: str) -> list[Prediction]:
        """All requests that the pipeline answered, in order of time."""
        with Session(self._engine) as session:
            rows = session.scalars(select(PredictionRow).filter_by(pipeline=pipeline).order_by(PredictionRow.at))
            return [prediction_of(row) for row in rows]

    def versions_asked(self, pipeline: str, requests: Collection[str]) -> dict[str, int]:
        """Which version answered each of these requests; one that the pipeline did not answer is left out."""
        wanted, found = sorted(requests), dict[str, int]()
        with Session(self._engine) as session:
            for start in range(0, len(wanted), _AT_ONCE):
                query = select(PredictionRow.request, PredictionRow.version).filter_by(pipeline=pipeline)
                part = query.where(PredictionRow.request.in_(wanted[start : start + _AT_ONCE]))
                found |= dict(session.execute(part).tuples().all())
        return found

    def version(self, pipeline: str, version: int) -> VersionEntry:
        """What was noted of a version; raises ValueError for one that was not registered."""
        with Session(self._engine) as session:
            row = session.get(VersionRow, (pipeline, version))
        if row is None:
            raise ValueError(f"{pipeline} has no version {version}")
        return version_of(row)

    def versions(self, pipeline: str) -> list[VersionEntry]:
        """All registered versions in order."""
        with Session(self._engine) as session:
            rows = session.scalars(select(VersionRow).filter_by(pipeline=pipeline).order_by(VersionRow.version))
            return [version_of(row) for row in rows]

    def check(self, expected: str | None = None) -> ChainCheck:
        """What was changed in the ledger by other means than these methods; expected: a head that was kept."""
        return check_chain(self._engine, expected)

    def _rows(self, query: Select[tuple[int, Any]]) -> list[tuple[int, Any]]:
        with Session(self._engine) as session:
            return [(number, result) for number, result in session.execute(query)]

    def _numbered(self, session: Session, pipeline: str, batch_id: str, name: str) -> BatchRow:
        row = session.scalar(select(BatchRow).filter_by(pipeline=pipeline, batch_id=batch_id))
        if row is None:
            last = session.scalar(select(func.max(BatchRow.number)).filter_by(pipeline=pipeline)) or 0
            row = BatchRow(pipeline=pipeline, number=last + 1, batch_id=batch_id, name=name, arrived_at=self._now())
            session.add(row)
            session.flush()
        return row

    def _step(self, pipeline: str, batch_id: str, step: str, result: Any) -> StepRow:
        return StepRow(pipeline=pipeline, batch_id=batch_id, step=step, result=result, at=self._now())


def _outcomes(pipeline: str, step: str) -> Select[tuple[int, Any]]:
    same = (StepRow.pipeline == BatchRow.pipeline) & (StepRow.batch_id == BatchRow.batch_id)
    query = select(BatchRow.number, StepRow.result).join(StepRow, same)
    return query.where(BatchRow.pipeline == pipeline, StepRow.step == step)


def _latest_promotion(pipeline: str) -> Select[tuple[PromotionRow]]:
    return select(PromotionRow).filter_by(pipeline=pipeline).order_by(PromotionRow.sequence.desc()).limit(1)


def _conflict(version: int, previous: int | None, champion: Promotion | PromotionRow | None) -> str:
    found = f"version {champion.version}" if champion else "nothing"
    expected = "nothing" if previous is None else f"version {previous}"
    return f"version {version} was to replace {expected}, but {found} is in production"
