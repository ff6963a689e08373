"""Whether the ledger's rows still agree with the chain, and the chain with itself."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, cast

from sqlalchemy import Connection, Engine, literal_column, select, table

from data.chain import FIRST, hash_link, hash_row, key_of, parsed
from data.changes import Change
from data.tables import Chained, ChainRow, Table


@dataclass(frozen=True)
class ChainCheck:
    """links: how many there are; head: the hash of the last; changes: what was changed since it was written."""

    links: int
    head: str
    changes: tuple[Change, ...]


def check_chain(engine: Engine, expected: str | None = None) -> ChainCheck:
    """Recompute every link and the hash of every chained row.

    expected: the head of an earlier check, kept elsewhere; it must be one of the links.
    """
    changes: list[Change] = []
    newest: dict[tuple[str, str], Mapping[str, str]] = {}
    with engine.connect() as connection:
        links, head, seen = _check_links(connection, newest, changes, expected)
        changes += _check_rows(connection, newest)
    if not seen:
        changes.append(Change("the ledger's chain", f"does not hold the expected head {expected}: it was rewritten"))
    return ChainCheck(links, head, tuple(changes))


def _check_links(
    connection: Connection,
    newest: dict[tuple[str, str], Mapping[str, str]],
    changes: list[Change],
    expected: str | None,
) -> tuple[int, str, bool]:
    """Go along the chain; fills in each row's newest hashes by column and what was changed."""
    before, last, head, links, seen = FIRST, 0, FIRST, 0, expected in (None, FIRST)
    for found in connection.execute(select(ChainRow.__table__).order_by(ChainRow.sequence)).mappings():
        row = cast(Mapping[str, Any], found)
        sequence, gap = row["sequence"], row["sequence"] != last + 1
        where = f"link {sequence} of the ledger's chain, for {row['table']} {row['key']}"
        if gap:
            missing = f"{last + 1}" if sequence == last + 2 else f"{last + 1} to {sequence - 1}"
            changes.append(Change("the ledger's chain", f"link {missing} was deleted"))
        elif hash_link(before, row, row["fields"]) != row["sha256"]:
            changes.append(Change(where, f"was changed, or does not follow link {last}"))
        newest[row["table"], row["key"]] = {**row["fields"], "": row["row_sha256"]}
        before, last, head, links = row["sha256"], sequence, row["sha256"], links + 1
        seen = seen or head == expected
    return links, head, seen


def _check_rows(connection: Connection, newest: dict[tuple[str, str], Mapping[str, str]]) -> Iterator[Change]:
    for name in chained_tables():
        found: set[str] = set()
        for raw in connection.execute(select(literal_column("*")).select_from(table(name))).mappings():
            values = parsed(name, cast(Mapping[str, Any], raw))
            key = key_of(name, values)
            found.add(key)
            changed = _changed(values, newest.get((name, key)))
            if changed is not None:
                yield Change(f"ledger, {name} {_shown(key)}", changed)
        for linked, key in newest:
            if linked == name and key not in found:
                yield Change(f"ledger, {name} {_shown(key)}", "was deleted")


def _changed(values: Mapping[str, Any], link: Mapping[str, str] | None) -> str | None:
    if link is None:
        return "was put in by other means than lehr's"
    known = {name: value for name, value in values.items() if name in link}  # columns of later migrations are not
    digest, fields = hash_row(known)
    if digest == link[""]:
        return None
    names = [name for name, shown in fields.items() if shown != link[name]]
    return f"was changed in {', '.join(names) or 'its columns'}"


def chained_tables() -> list[str]:
    """The names of the tables whose rows are linked."""
    kinds = [mapper.class_ for mapper in Table.registry.mappers]
    return sorted(kind.__tablename__ for kind in kinds if issubclass(kind, Chained))


def _shown(key: str) -> str:
    return "/".join(str(part)[:12] if len(str(part)) == 64 else str(part) for part in json.loads(key))
