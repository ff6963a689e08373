"""The feature store: a Delta Lake table that holds every accepted row once."""

import json
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import unquote

import polars as pl
from deltalake import CommitProperties, DeltaTable, Transaction, write_deltalake
from filelock import FileLock

from data.checkpoints import checkpoint
from data.files import sync_file, sync_folder
from data.kept_batches import kept_batches

ORDER = ("lehr_batch", "lehr_row")
BEFORE_ALL = -(2**31)


class FeatureStore:
    """One pipeline's accepted rows, partitioned by `lehr_split` so that hold-outs are read alone.

    Besides the schema's columns a row has `lehr_batch` (its batch's number), `lehr_row` (its row in the file, from 1)
    and `lehr_split`. Any reader of Delta Lake can open the folder.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def append(self, batch_id: str, rows: pl.DataFrame) -> int:
        """Append a batch under its id as application transaction; returns the Delta version that holds it.

        A batch that is there already changes nothing. Safe under a crash at any moment, a power cut included: the
        commit is one file, on disk when this returns. Writers take turns, since Delta Lake compares no application
        transactions of commits made at once.
        Raises ValueError where the batch's columns are not those of the table.
        """
        self.folder.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(self.folder.with_name(self.folder.name + ".lock")):
            table = self._table()
            stored = None if table is None else table.transaction_version(batch_id)
            if stored is not None:
                return stored
            if table is not None:
                self._fits(table, batch_id, rows)
            version = 0 if table is None else table.version() + 1
            self._commit(batch_id, version, rows)
            checkpoint(self.folder, version)
            return version

    def read(
        self,
        batches: range | None = None,
        split: str | None = None,
        columns: Sequence[str] | None = None,
        among: Sequence[int] | None = None,
    ) -> pl.DataFrame:
        """Rows in order of batch and row; raises ValueError while nothing was stored.

        among: of batches after the first only these.
        """
        table = self._table()
        if table is None:
            raise ValueError(f"the feature store {self.folder} is empty")
        rows = pl.scan_delta(table)
        if split is not None:
            rows = rows.filter(pl.col("lehr_split") == split)
        if batches is not None:
            rows = rows.filter(pl.col("lehr_batch").is_between(batches.start, batches.stop - 1))
        if among is not None:
            rows = rows.filter((pl.col("lehr_batch") < 1) | pl.col("lehr_batch").is_in(among))
        if columns is not None:
            rows = rows.select([*dict.fromkeys([*columns, *ORDER, "lehr_split"])])
        return rows.sort(ORDER).collect()

    def read_holdout(self, through: int) -> pl.DataFrame:
        """The held-out rows that judge after a batch: of a long history those of `kept_batches`.

        Those before the first batch (an adopted model's) are always among them.
        """
        return self.read(batches=range(BEFORE_ALL, through + 1), split="holdout", among=kept_batches(through))

    def _fits(self, table: DeltaTable, batch_id: str, rows: pl.DataFrame) -> None:
        held = [field.name for field in table.schema().fields]
        if set(held) != set(rows.columns):
            raise ValueError(
                f"the feature store {self.folder} holds the columns {', '.join(held)}; "
                f"batch {batch_id[:12]} has {', '.join(rows.columns)}"
            )

    def _commit(self, batch_id: str, version: int, rows: pl.DataFrame) -> None:
        write_deltalake(
            str(self.folder),
            rows.to_arrow(),
            mode="append",
            partition_by=["lehr_split"],
            commit_properties=CommitProperties(app_transactions=[Transaction(batch_id, version)]),
        )
        commit = self.folder / "_delta_log" / f"{version:020}.json"
        actions = [json.loads(line) for line in commit.read_text().splitlines()]
        added = [self.folder / unquote(action["add"]["path"]) for action in actions if "add" in action]
        for path in (*added, commit):
            sync_file(path)
        for folder in {self.folder.parent, self.folder, *(path.parent for path in (*added, commit))}:
            sync_folder(folder)

    def _table(self) -> DeltaTable | None:
        return DeltaTable(str(self.folder)) if DeltaTable.is_deltatable(str(self.folder)) else None
