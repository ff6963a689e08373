"""Whatever is edited, deleted or put in beside the ledger's own methods is found and named."""

import json
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from data.chain_check import chained_tables
from data.entries import Prediction
from data.ledger import Ledger

START = datetime(2026, 1, 1, tzinfo=UTC)
ROOT = Path(__file__).parents[2]
HASH = "ab" * 32


def url(path: Path) -> str:
    return f"sqlite:///{path}"


def fill(ledger: Ledger) -> None:
    """Rows in every table, a version and a schema noted twice."""
    for columns in (["a"], ["a", "b"]):
        ledger.declare_schema("line", {"columns": columns})
    for number in range(1, 4):
        batch = ledger.open_batch("line", f"{number:064x}", f"b{number}.csv")
        ledger.record_step("line", batch.batch_id, "validate", {"rows": 10 * number, "score": 0.1, "known": True})
        ledger.record_step("line", batch.batch_id, "learn", None)
        ledger.register_version("line", number, HASH, number - 1 or None, number, "update")
        ledger.promote("line", number, number - 1 or None, {"checks": [{"value": 1.5e-7}]}, f"no {number} is bettér")
        ledger.record_prediction(Prediction(f"{number:020x}", "line", START, number, HASH, "in.csv", HASH, 7, HASH))
    ledger.register_version("line", 2, HASH.upper(), 1, 2, "update")


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("ledger") / "ledger.db"
    ledger = Ledger(url(path), lambda: START)
    fill(ledger)
    ledger.close()
    return whole(path)


def whole(path: Path) -> bytes:
    """The database as one file, without its log."""
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA journal_mode=DELETE")
    connection.close()
    return path.read_bytes()


@pytest.fixture
def database(filled: bytes, tmp_path: Path) -> Path:
    (tmp_path / "ledger.db").write_bytes(filled)
    return tmp_path / "ledger.db"


def changes(path: Path, expected: str | None = None) -> list[str]:
    ledger = Ledger(url(path), lambda: START)
    found = ledger.check(expected)
    ledger.close()
    return [f"{change.where}: {change.what}" for change in found.changes]


def execute(path: Path, statement: str, *values: Any) -> None:
    connection = sqlite3.connect(path)
    assert connection.execute(statement, values).rowcount == 1
    connection.commit()
    connection.close()


def test_what_the_ledger_wrote_is_as_recorded(database: Path) -> None:
    assert changes(database) == []
    assert set(chained_tables()) == {"pipelines", "batches", "steps", "versions", "promotions", "predictions"}


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("update steps set result = '{\"rows\": 99}' where step = 'validate' and batch_id like '%2'",
         "ledger, steps line/000000000000/validate: was changed in result"),
        ("update promotions set reason = 'x', at = '2025-01-01 00:00:00.000000' where sequence = 2",
         "ledger, promotions line/2: was changed in at, reason"),
        ("update batches set name = 'c.csv' where number = 1", "ledger, batches line/1: was changed in name"),
        ("delete from promotions where sequence = 3", "ledger, promotions line/3: was deleted"),
        ("delete from predictions where version = 1", "ledger, predictions 00000000000000000001: was deleted"),
        ("insert into promotions select pipeline, 4, 1, 3, verdict, reason, at from promotions where sequence = 1",
         "ledger, promotions line/4: was put in by other means than lehr's"),
        ("update pipelines set schema = 'no JSON'", "ledger, pipelines line: was changed in schema"),
        ("delete from chain where sequence = 5", "the ledger's chain: link 5 was deleted"),
    ],
)  # fmt: skip
def test_what_was_changed_is_named(database: Path, statement: str, said: str) -> None:
    execute(database, statement)
    assert said in changes(database)


def asked(content: bytes, query: str) -> list[tuple[Any, ...]]:
    connection = sqlite3.connect(":memory:")
    connection.deserialize(content)
    found = connection.execute(query).fetchall()
    connection.close()
    return found


def cells(content: bytes) -> list[tuple[str, int, str]]:
    """Every value in the chained tables and in the chain: table, rowid, column."""
    return [
        (table, row, column)
        for table in [*chained_tables(), "chain"]
        for (row,) in asked(content, f"select rowid from {table}")
        for _, column, *_ in asked(content, f"pragma table_info({table})")
    ]


def other(value: Any) -> Any:
    if isinstance(value, int):
        return value + 1_000
    if value is None:
        return 1
    try:
        document = json.loads(value)
    except ValueError:
        return value[:-1] + ("0" if value[-1] != "0" else "1")
    return json.dumps({**document, "planted": 1} if isinstance(document, dict) else [document])


@pytest.mark.parametrize("action", ["edit", "delete"])
def test_any_place_that_is_tampered_with_is_found(filled: bytes, tmp_path: Path, action: str) -> None:
    """A link that is gone is told by the row that it held, whose latest change no link knows of."""
    held = dict(asked(filled, 'select rowid, "table" from chain'))
    for number, (table, row, column) in enumerate(cells(filled)):
        path = tmp_path / f"{number}.db"
        path.write_bytes(filled)
        if action == "delete":
            execute(path, f"delete from {table} where rowid = ?", row)
        else:
            ((value,),) = asked(filled, f'select "{column}" from {table} where rowid = {row}')
            execute(path, f'update {table} set "{column}" = ? where rowid = ?', other(value), row)
        named = {table, held[row]} if table == "chain" else {table}
        found = changes(path)
        assert any(name in text for name in named for text in found), (table, row, column, found)


def test_a_rewritten_chain_has_another_head(database: Path, tmp_path: Path) -> None:
    """Who forges all of it leaves a ledger without a contradiction, but not the head that was kept elsewhere."""
    ledger = Ledger(url(database), lambda: START)
    kept = ledger.check().head
    ledger.open_batch("line", "f" * 64, "later.csv")
    ledger.close()
    assert changes(database, kept) == []
    assert changes(database, "no head") == [
        "the ledger's chain: does not hold the expected head no head: it was rewritten"
    ]
    forged = Ledger(url(tmp_path / "forged.db"), lambda: START + timedelta(days=1))
    fill(forged)
    forged.close()
    assert changes(tmp_path / "forged.db") == []
    assert changes(tmp_path / "forged.db", kept) == [
        f"the ledger's chain: does not hold the expected head {kept}: it was rewritten"
    ]


OLD = """
import sys
from alembic import command
from alembic.config import Config
from sqlalchemy import create_engine
from data.database import MIGRATIONS
config = Config()
config.set_main_option("script_location", str(MIGRATIONS))
engine = create_engine(sys.argv[1])
with engine.begin() as connection:
    config.attributes["connection"] = connection
    command.upgrade(config, "0002")
"""


@pytest.fixture
def old(tmp_path: Path, filled: bytes) -> Iterator[Path]:
    """A ledger as it was before the chain."""
    path, source = tmp_path / "old.db", tmp_path / "new.db"
    source.write_bytes(filled)
    subprocess.run([sys.executable, "-c", OLD, url(path)], cwd=ROOT, check=True)
    connection = sqlite3.connect(path)
    connection.execute("attach database ? as new", (str(source),))
    for table in ("pipelines", "batches", "steps", "versions", "promotions"):
        connection.execute(f"insert into main.{table} select * from new.{table}")
    connection.commit()
    connection.close()
    yield path


def test_a_ledger_from_before_the_chain_is_linked_when_it_is_opened(old: Path) -> None:
    assert changes(old) == []
    ledger = Ledger(url(old), lambda: START)
    assert ledger.check().links == 16
    assert [entry.number for entry in ledger.batches("line")] == [1, 2, 3]
    ledger.promote("line", 9, 3, {}, "goes on")
    ledger.close()
    assert changes(old) == []
    execute(old, "delete from batches where number = 2")
    assert changes(old) == ["ledger, batches line/2: was deleted"]


def test_an_append_costs_little(tmp_path: Path) -> None:
    """Milliseconds, the same with many links behind it: an append reads one link."""
    from time import perf_counter

    ledger = Ledger(url(tmp_path / "ledger.db"), lambda: START)
    ledger.open_batch("line", HASH, "b")
    seconds: list[float] = []
    for number in range(300):
        started = perf_counter()
        ledger.record_step("line", HASH, f"step-{number}", {"x": 1})
        seconds.append(perf_counter() - started)
    ledger.close()
    assert sorted(seconds[-100:])[50] < 3 * sorted(seconds[:100])[50] + 0.005
