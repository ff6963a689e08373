import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

from sqlalchemy import inspect, text

from data.database import open_database, writer

ROOT = Path(__file__).parents[2]
KILLS = int(os.environ.get("LEHR_KILLS", "4"))
MIGRATE = """
import sys
from data.database import open_database
print("ready", flush=True)
open_database(sys.argv[1])
print("done", flush=True)
"""


def url(folder: Path) -> str:
    return f"sqlite:///{folder / 'ledger.db'}"


def migrate(folder: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", MIGRATE, url(folder)], cwd=ROOT, stdout=subprocess.PIPE, text=True, bufsize=1
    )


def test_sqlite_loses_nothing_that_was_committed(tmp_path: Path) -> None:
    engine = open_database(url(tmp_path))
    with engine.connect() as connection:
        settings = [
            connection.execute(text(f"PRAGMA {name}")).scalar()
            for name in ("journal_mode", "synchronous", "busy_timeout")
        ]
    assert settings == ["wal", 2, 30_000]
    engine.dispose()


def test_a_kill_in_the_middle_of_a_migration_breaks_nothing(tmp_path: Path) -> None:
    generator = random.Random(1)
    for kill in range(KILLS):
        folder = tmp_path / str(kill)
        with migrate(folder) as child:
            assert child.stdout is not None
            child.stdout.readline()
            time.sleep(generator.uniform(0.02, 0.12))
            os.kill(child.pid, signal.SIGKILL)
        engine = open_database(url(folder))
        assert {"pipelines", "batches", "steps", "versions", "promotions"} <= set(inspect(engine).get_table_names())
        engine.dispose()


def test_processes_that_open_a_new_database_at_once_all_get_it(tmp_path: Path) -> None:
    children = [migrate(tmp_path) for _ in range(3)]
    assert [child.communicate()[0].split() for child in children] == [["ready", "done"]] * 3


def test_writers_take_turns_before_they_read(tmp_path: Path) -> None:
    """A reader goes on while one writes; what it sees does not change under it."""
    engine = open_database(url(tmp_path))
    count = text("select count(*) from pipelines")
    with writer(engine).begin() as writing, engine.connect() as reading:
        assert reading.execute(count).scalar() == 0
        writing.execute(text("insert into pipelines (name, schema) values ('line', '{}')"))
        writing.commit()
        assert reading.execute(count).scalar() == 0
        reading.rollback()
        assert reading.execute(count).scalar() == 1
    engine.dispose()
