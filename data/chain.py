"""The chain over the ledger's rows: every append is a link that holds the hash of the link before it.

A row that is edited, deleted or put in by other means than the ledger's own no longer agrees with its last link, and a
link that is edited or deleted no longer fits its neighbours. Whoever rewrites the whole chain leaves another head: a
head that was kept elsewhere is in the chain, or history was rewritten.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import JSON, Connection, event, insert, inspect, select, text
from sqlalchemy.orm import Session

from data.tables import Chained, ChainRow, Table, UtcTime

FIRST = "0" * 64
CHAIN_LOCK = 5_348
"""The number under which PostgreSQL lets one transaction at a time append."""
SHOWN = 16
"""Hexadecimal digits of a column's hash in a link: enough to say which column was changed."""


class ChainedSession(Session):
    """A session that links new and changed rows of chained tables in the transaction that writes them."""


@event.listens_for(ChainedSession, "before_flush")
def _link_rows(session: Session, _context: Any, _instances: Any) -> None:
    changed = [row for row in session.dirty if session.is_modified(row)]
    rows = [row for row in (*session.new, *changed) if isinstance(row, Chained)]
    if rows:
        append_links(session.connection(), [(row.__tablename__, _values(row)) for row in rows])


def append_links(connection: Connection, rows: Iterable[tuple[str, Mapping[str, Any]]]) -> None:
    """Append a link for each row, given by its table's name and its values by column."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("select pg_advisory_xact_lock(:number)"), {"number": CHAIN_LOCK})
    newest = select(ChainRow.sequence, ChainRow.sha256).order_by(ChainRow.sequence.desc()).limit(1)
    last = connection.execute(newest).one_or_none()
    sequence, before = (0, FIRST) if last is None else (last.sequence, last.sha256)
    appended: list[dict[str, Any]] = []
    for table, values in rows:
        sequence += 1
        digest, fields = hash_row(values)
        link = {"sequence": sequence, "table": table, "key": key_of(table, values), "row_sha256": digest}
        before = hash_link(before, link, fields)
        appended.append({**link, "fields": fields, "sha256": before})
    connection.execute(insert(ChainRow), appended)


def hash_row(values: Mapping[str, Any]) -> tuple[str, dict[str, str]]:
    """The SHA-256 of a row's values by column, and the first digits of each column's."""
    digests = {name: _sha256(_canonical(values[name])) for name in sorted(values)}
    whole = _sha256("".join(f"{name} {digest}\n" for name, digest in digests.items()))
    return whole, {name: digest[:SHOWN] for name, digest in digests.items()}


def hash_link(before: str, link: Mapping[str, Any], fields: Mapping[str, str]) -> str:
    """The SHA-256 of a link after the one whose hash is `before`."""
    parts = [before, link["sequence"], link["table"], link["key"], link["row_sha256"], dict(sorted(fields.items()))]
    return _sha256(json.dumps(parts))


def key_of(table: str, values: Mapping[str, Any]) -> str:
    """The primary key of a row as text, by which a link names it."""
    return json.dumps([values[column.name] for column in Table.metadata.tables[table].primary_key])


def parsed(table: str, raw: Mapping[str, Any]) -> dict[str, Any]:
    """What a database driver gave for a row, as the values that were written; what cannot be parsed stays as it is."""
    types = {column.name: column.type for column in Table.metadata.tables[table].columns}
    return {name: _parsed(types[name], value) for name, value in raw.items() if name in types}


def _parsed(kind: Any, value: Any) -> Any:
    try:
        if isinstance(kind, JSON) and isinstance(value, str):
            return json.loads(value)
        if isinstance(kind, UtcTime) and isinstance(value, str):
            return datetime.fromisoformat(value).replace(tzinfo=UTC)
    except ValueError:
        return value  # as no writer of ours left it: its hash will differ
    return value


def _canonical(value: Any) -> str:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat()
    return json.dumps(value, sort_keys=True)


def _values(row: Chained) -> dict[str, Any]:
    return {column.key: getattr(row, column.key) for column in inspect(type(row)).columns}


def _sha256(content: str) -> str:
    return hashlib.sha256(content.encode()).hexdigest()
