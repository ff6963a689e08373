"""The feature store: a Delta Lake table that holds every accepted row once, and the labels that came later."""

from collections.abc import Sequence
from pathlib import Path

import polars as pl

from data.delta import append_once, open_table
from data.kept_batches import kept_batches
from data.late_labels import LabelStore

ORDER = ("lehr_batch", "lehr_row")
BEFORE_ALL = -(2**31)


class FeatureStore:
    """One pipeline's accepted rows, partitioned by `lehr_split` so that hold-outs are read alone.

    Besides the schema's columns a row has `lehr_batch` (its batch's number), `lehr_row` (its row in the file, from 1)
    and `lehr_split`. Labels that came later lie in a table of their own beside it, and are joined to their rows when
    these are read: what was stored never changes. Any reader of Delta Lake can open both folders.
    target: the column that late labels fill; None reads the rows as they came.
    """

    def __init__(self, folder: Path, target: str | None = None) -> None:
        self.folder = folder
        self.target = target
        self.labels = LabelStore(folder.with_name("labels"))

    @property
    def is_empty(self) -> bool:
        """Whether nothing was ever stored."""
        return open_table(self.folder) is None

    def append(self, batch_id: str, rows: pl.DataFrame) -> int:
        """Append a batch under its id, once and safe under a crash; returns the Delta version that holds it.

        Raises ValueError where the batch's columns are not those of the table.
        """
        return append_once(self.folder, batch_id, rows, partition_by=["lehr_split"])

    def read(
        self,
        batches: range | None = None,
        split: str | None = None,
        columns: Sequence[str] | None = None,
        among: Sequence[int] | None = None,
        labels_through: int | None = None,
    ) -> pl.DataFrame:
        """Rows in order of batch and row, with the labels that came up to a number, or all.

        among: of batches after the first only these. Raises ValueError while nothing was stored.
        """
        rows = self._rows(split)
        if batches is not None:
            rows = rows.filter(_within(batches))
        if among is not None:
            rows = rows.filter(_among(among))
        if columns is not None:
            rows = rows.select([*dict.fromkeys([*columns, *ORDER, "lehr_split"])])
        found = rows.sort(ORDER).collect()
        if self.target not in found.columns or (late := self.labels.joined(labels_through)) is None:
            return found
        return found.join(late, on=ORDER, how="left", maintain_order="left").select(
            pl.coalesce(c, "lehr_label").alias(c) if c == self.target else c for c in found.columns
        )

    def read_labelled(
        self, numbers: range, split: str | None = None, among: Sequence[int] | None = None
    ) -> pl.DataFrame:
        """What can be learned from under these numbers: rows in order of batch and row, with `lehr_labelled`.

        A row counts under the number that brought its label (`lehr_labelled`): its batch's, or that of the labels that
        came later. Rows of the same batches that got theirs under another number, or none, are there without a
        target, so that windows find what came before a labelled row. among: of numbers after 0 only these.
        """
        late = None if self.target is None else self.labels.joined(through=numbers.stop - 1)
        if late is None:
            return self.read(numbers, split, among=among).with_columns(lehr_labelled=pl.col("lehr_batch"))
        counted, brought = (_counted(numbers, among, column) for column in ("lehr_batch", "lehr_labelled"))
        completed = late.filter(brought)["lehr_batch"].unique()
        rows = self._rows(split).filter(counted | pl.col("lehr_batch").is_in(completed.implode()))
        found = rows.sort(ORDER).collect().join(late, on=ORDER, how="left", maintain_order="left")
        labelled = found.with_columns(pl.coalesce("lehr_labelled", "lehr_batch").alias("lehr_labelled"))
        target = pl.when(brought).then(pl.coalesce(self.target, "lehr_label"))
        return labelled.with_columns(target.alias(str(self.target))).drop("lehr_label")

    def read_holdout(self, through: int) -> pl.DataFrame:
        """The held-out rows that judge under a number: labelled up to it, and of a long history under `kept_batches`.

        Those before the first batch (an adopted model's) are always among them; `lehr_labelled` as in `read_labelled`.
        """
        return self.read_labelled(range(BEFORE_ALL, through + 1), split="holdout", among=kept_batches(through))

    def _rows(self, split: str | None) -> pl.LazyFrame:
        table = open_table(self.folder)
        if table is None:
            raise ValueError(f"the feature store {self.folder} is empty")
        rows = pl.scan_delta(table)
        return rows if split is None else rows.filter(pl.col("lehr_split") == split)


def _within(numbers: range, column: str = "lehr_batch") -> pl.Expr:
    return pl.col(column).is_between(numbers.start, numbers.stop - 1)


def _among(numbers: Sequence[int], column: str = "lehr_batch") -> pl.Expr:
    return (pl.col(column) < 1) | pl.col(column).is_in(numbers)


def _counted(numbers: range, among: Sequence[int] | None, column: str) -> pl.Expr:
    return _within(numbers, column) if among is None else _within(numbers, column) & _among(among, column)
