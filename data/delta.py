"""Delta Lake tables to which every delivery is appended once."""

import json
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import unquote

import polars as pl
from deltalake import CommitProperties, DeltaTable, Transaction, write_deltalake
from filelock import FileLock

from data.checkpoints import checkpoint
from data.files import sync_file, sync_folder


def open_table(folder: Path) -> DeltaTable | None:
    """The table in a folder; None while nothing was appended."""
    return DeltaTable(str(folder)) if DeltaTable.is_deltatable(str(folder)) else None


def append_once(folder: Path, delivery_id: str, rows: pl.DataFrame, partition_by: Sequence[str] = ()) -> int:
    """Append rows under an id as application transaction; returns the Delta version that holds them.

    An id that is there already changes nothing. Safe under a crash at any moment, a power cut included: the commit is
    one file, on disk when this returns. Writers take turns, since Delta Lake compares no application transactions of
    commits made at once.
    Raises ValueError where the columns are not those of the table.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(folder.with_name(folder.name + ".lock")):
        table = open_table(folder)
        stored = None if table is None else table.transaction_version(delivery_id)
        if stored is not None:
            return stored
        if table is not None:
            _check_columns(folder, table, delivery_id, rows)
        version = 0 if table is None else table.version() + 1
        _commit(folder, delivery_id, version, rows, partition_by)
        checkpoint(folder, version)
        return version


def _check_columns(folder: Path, table: DeltaTable, delivery_id: str, rows: pl.DataFrame) -> None:
    held = [field.name for field in table.schema().fields]
    if set(held) != set(rows.columns):
        raise ValueError(
            f"the feature store {folder} holds the columns {', '.join(held)}; "
            f"batch {delivery_id[:12]} has {', '.join(rows.columns)}"
        )


def _commit(folder: Path, delivery_id: str, version: int, rows: pl.DataFrame, partition_by: Sequence[str]) -> None:
    write_deltalake(
        str(folder),
        rows.to_arrow(),
        mode="append",
        partition_by=list(partition_by) or None,
        commit_properties=CommitProperties(app_transactions=[Transaction(delivery_id, version)]),
    )
    commit = folder / "_delta_log" / f"{version:020}.json"
    actions = [json.loads(line) for line in commit.read_text().splitlines()]
    added = [folder / unquote(action["add"]["path"]) for action in actions if "add" in action]
    for path in (*added, commit):
        sync_file(path)
    for parent in {folder.parent, folder, *(path.parent for path in (*added, commit))}:
        sync_folder(parent)
