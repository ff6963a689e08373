"""Training runs: what others want of each, what it is doing, and what happened in it."""

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from math import isfinite
from typing import Any

from sqlalchemy import bindparam, func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from data.database import Commits, open_database, writer
from data.tables import TrainingEventRow, TrainingRunRow

NAMING_ATTEMPTS = 100
DESIRES = ("run", "pause", "cancel")
NEXT_STATES = {
    "pending": ("running", "paused", "cancelled", "failed"),
    "running": ("paused", "completed", "cancelled", "failed"),
    "paused": ("running", "cancelled", "failed"),
    "completed": (),
    "cancelled": (),
    "failed": (),
}
"""What a run may become from each state; one that may become nothing is finished."""
_DESIRED = select(TrainingRunRow.desired).where(TrainingRunRow.id == bindparam("run_id"))


@dataclass(frozen=True)
class TrainingRun:
    """A training run: `desired` is what others want of it, `state` what it is doing."""

    id: str
    name: str
    config: dict[str, Any]
    desired: str
    state: str
    reason: str | None
    created_at: datetime
    changed_at: datetime

    @property
    def finished(self) -> bool:
        """Whether nothing about the run can change any more."""
        return not NEXT_STATES[self.state]


@dataclass(frozen=True)
class TrainingEvent:
    """Something that happened in a training run, by its number from 1, without gaps."""

    run_id: str
    sequence: int
    kind: str
    payload: dict[str, Any]
    at: datetime


class TrainingRuns:
    """The training runs in the ledger's database at a URL.

    now: the clock, in a time zone. Any number of processes and threads may use it at once. Every method that takes a
    run's id raises ValueError where there is no such run.
    """

    def __init__(self, url: str, now: Callable[[], datetime]) -> None:
        self._now = now
        self._engine = open_database(url)
        self._writer = writer(self._engine)
        self._desired = _DESIRED.compile(self._engine)
        self._desired_text = str(self._desired)

    def close(self) -> None:
        """Give the connections back."""
        self._engine.dispose()

    def commits(self) -> Commits:
        """Whether anything changes, for those who follow runs; to be asked and closed in one thread."""
        return Commits(self._engine)

    def create(self, name: str, config: dict[str, Any], prefix: str = "epoch_training") -> TrainingRun:
        """A new pending run that is desired to run; its id is the prefix and the time in UTC.

        Of runs created within one second the later ones get the suffixes _2, _3 and so on. Raises ValueError where
        the config is not JSON or has a number that is not finite.
        """
        _check_json(config, "config")
        at = self._now()
        stem = f"{prefix}_{at.astimezone(UTC):%Y%m%d_%H%M%S}"
        for attempt in range(1, NAMING_ATTEMPTS + 1):
            row = TrainingRunRow(id=stem if attempt == 1 else f"{stem}_{attempt}", name=name, config=config)
            row.desired, row.state, row.created_at, row.changed_at = "run", "pending", at, at
            try:
                with Session(self._writer, expire_on_commit=False) as session, session.begin():
                    session.add(row)
            except IntegrityError:  # another run has this id
                continue
            return _run(row)
        raise ValueError(f"no id from {stem} to {stem}_{NAMING_ATTEMPTS} is free: too many runs in one second")

    def get(self, run_id: str) -> TrainingRun:
        """The run as it is now."""
        with Session(self._engine) as session:
            return _run(_found(session, run_id))

    def runs(self) -> list[TrainingRun]:
        """All runs, the oldest first."""
        with Session(self._engine) as session:
            rows = session.scalars(select(TrainingRunRow).order_by(TrainingRunRow.created_at, TrainingRunRow.id))
            return [_run(row) for row in rows]

    def latest(self, prefix: str, limit: int) -> list[TrainingRun]:
        """The newest runs whose ids begin so, the newest first."""
        newest_first = TrainingRunRow.created_at.desc(), TrainingRunRow.id.desc()
        query = select(TrainingRunRow).where(TrainingRunRow.id.startswith(prefix, autoescape=True))
        with Session(self._engine) as session:
            return [_run(row) for row in session.scalars(query.order_by(*newest_first).limit(limit))]

    def unfinished(self) -> list[TrainingRun]:
        """The runs that something can still become of, the oldest first."""
        finished = [state for state, following in NEXT_STATES.items() if not following]
        query = select(TrainingRunRow).where(TrainingRunRow.state.not_in(finished))
        with Session(self._engine) as session:
            rows = session.scalars(query.order_by(TrainingRunRow.created_at, TrainingRunRow.id))
            return [_run(row) for row in rows]

    def desire(self, run_id: str, desired: str) -> None:
        """Say what the run shall do: run, pause or cancel; run after pause resumes it.

        The run follows at its next batch. Raises ValueError where it is finished, or was cancelled before.
        """
        if desired not in DESIRES:
            raise ValueError(f"a run can be desired to {', '.join(DESIRES)}, not {desired!r}")
        with Session(self._writer) as session, session.begin():
            row = _found(session, run_id, lock=True)
            if not NEXT_STATES[row.state]:
                raise ValueError(f"{run_id} is {row.state}: it cannot {desired}, only a new run can be created")
            if row.desired == "cancel" and desired != "cancel":
                raise ValueError(f"{run_id} is being cancelled: it cannot {desired}, only a new run can be created")
            row.desired, row.changed_at = desired, self._now()

    def desired(self, run_id: str) -> str:
        """What the run shall do, as last committed by any process: cheap enough to ask between batches."""
        # The driver's own cursor: SQLAlchemy's execution costs several times as much between steps of training.
        parameters = (run_id,) if self._desired.positional else {"run_id": run_id}
        with closing(self._engine.raw_connection()) as connection:
            cursor = connection.cursor()
            cursor.execute(self._desired_text, parameters)
            rows = cursor.fetchall()
        if not rows:
            raise _unknown(run_id)
        return rows[0][0]

    def change_state(self, run_id: str, state: str, reason: str | None = None) -> None:
        """Say what the run is doing now, with an event of kind "state" in the same transaction.

        Raises ValueError where the run cannot become this from what it is. Of processes that start, resume or finish
        a run at once, one succeeds.
        """
        with Session(self._writer) as session, session.begin():
            row = _found(session, run_id, lock=True)
            if state not in NEXT_STATES[row.state]:
                allowed = ", ".join(NEXT_STATES[row.state]) or "nothing else: it is finished"
                raise ValueError(f"{run_id} is {row.state} and cannot become {state}; it can become {allowed}")
            payload = {"state": state, "previous": row.state, "reason": reason}
            row.state, row.reason, row.changed_at = state, reason, self._now()
            self._append(session, run_id, "state", payload)

    def append(self, run_id: str, kind: str, payload: dict[str, Any]) -> int:
        """Note that something happened; the event's number.

        Raises ValueError where the payload is not JSON or has a number that is not finite, and where the run is
        finished: the event of its last state stays its last.
        """
        _check_json(payload, "payload")
        with Session(self._writer) as session, session.begin():
            row = _found(session, run_id, lock=True)
            if not NEXT_STATES[row.state]:
                raise ValueError(f"{run_id} is {row.state}: nothing more happens in it, not even {kind!r}")
            return self._append(session, run_id, kind, payload)

    def events(self, run_id: str, after: int = 0) -> list[TrainingEvent]:
        """The events whose numbers are above `after`, in order."""
        query = select(TrainingEventRow).filter_by(run_id=run_id).where(TrainingEventRow.sequence > after)
        with Session(self._engine) as session:
            _found(session, run_id)
            rows = session.scalars(query.order_by(TrainingEventRow.sequence))
            return [TrainingEvent(run_id, row.sequence, row.kind, row.payload, row.at) for row in rows]

    def _append(self, session: Session, run_id: str, kind: str, payload: dict[str, Any]) -> int:
        """Number the event; the run must be locked, so that no two writers count at once."""
        last = session.scalar(select(func.max(TrainingEventRow.sequence)).filter_by(run_id=run_id)) or 0
        row = TrainingEventRow(run_id=run_id, sequence=last + 1, kind=kind, payload=payload, at=self._now())
        session.add(row)
        return last + 1


def _found(session: Session, run_id: str, lock: bool = False) -> TrainingRunRow:
    row = session.get(TrainingRunRow, run_id, with_for_update=lock)
    if row is None:
        raise _unknown(run_id)
    return row


def _unknown(run_id: str) -> ValueError:
    return ValueError(f"there is no training run {run_id}")


def _run(row: TrainingRunRow) -> TrainingRun:
    times = row.created_at, row.changed_at
    return TrainingRun(row.id, row.name, row.config, row.desired, row.state, row.reason, *times)


def _check_json(value: Any, key: str) -> None:
    """Refuse what a reader of JSON could not read, by the key it is under."""
    match value:
        case None | str() | int():
            return
        case float():
            if not isfinite(value):
                raise ValueError(f"{key} is {value}, which JSON does not have")
        case dict():
            for name, inner in value.items():
                if not isinstance(name, str):
                    raise ValueError(f"{key} has the key {name!r}, which is no text")
                _check_json(inner, f"{key}.{name}")
        case list() | tuple():
            for number, inner in enumerate(value):
                _check_json(inner, f"{key}[{number}]")
        case _:
            raise ValueError(f"{key} is a {type(value).__name__}, which JSON does not have")
