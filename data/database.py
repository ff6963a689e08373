"""Opening the ledger's database: its tables are made or brought up to date, whole or not at all."""

import itertools
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config as AlembicConfig
from filelock import FileLock
from sqlalchemy import Connection, Engine, create_engine, event, text

MIGRATIONS = Path(__file__).parent / "migrations"
BUSY_TIMEOUT_MS = 30_000
MIGRATION_LOCK = 5_347
"""The number under which PostgreSQL lets one process at a time migrate."""


def open_database(url: str) -> Engine:
    """Connect to the database at a URL and migrate it.

    SQLite runs with a write-ahead log and full synchronisation. Processes that open a new database at once wait for
    the first; one that is killed while it migrates leaves the database as it was.
    """
    engine = create_engine(url)
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _harden_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
    with _alone(engine):
        _upgrade(writer(engine))
    return engine


class Commits:
    """Tells, for the price of a few microseconds, whether another connection committed anything to a database."""

    def __init__(self, engine: Engine) -> None:
        self._connection = engine.raw_connection() if engine.dialect.name == "sqlite" else None
        self._asked = itertools.count()

    @property
    def can_tell(self) -> bool:
        """Whether it is cheap to ask."""
        return self._connection is not None

    def mark(self) -> int:
        """A number that differs from the last one where something was committed since; always, if none can tell."""
        if self._connection is None:
            return next(self._asked)
        return self._connection.cursor().execute("PRAGMA data_version").fetchone()[0]

    def close(self) -> None:
        """Give the connection back."""
        if self._connection is not None:
            self._connection.close()


def writer(engine: Engine) -> Engine:
    """The engine for transactions that write: on SQLite they take their turn before they read."""
    return engine.execution_options(lehr_writes=True)


def _harden_sqlite(connection: Any, _: Any) -> None:
    connection.isolation_level = None  # the driver's own transactions leave out reads and changes of tables
    for pragma in ("journal_mode=WAL", "synchronous=FULL", f"busy_timeout={BUSY_TIMEOUT_MS}"):
        connection.execute(f"PRAGMA {pragma}")


def _begin_sqlite(connection: Connection) -> None:
    writes = connection.get_execution_options().get("lehr_writes", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _alone(engine: Engine) -> AbstractContextManager[Any]:
    path = engine.url.database if engine.dialect.name == "sqlite" else None
    if path is None:
        return nullcontext()
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    return FileLock(f"{path}.lock")


def _upgrade(engine: Engine) -> None:
    config = AlembicConfig()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    with engine.begin() as connection:
        if engine.dialect.name == "postgresql":
            connection.execute(text("select pg_advisory_xact_lock(:number)"), {"number": MIGRATION_LOCK})
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
