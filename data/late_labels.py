"""Labels that come later than their rows, found by key.

Each label is kept once, under the number with which it came: with the batch and row that it belongs to, or without,
while it waits for a row that has not come yet.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from data.delta import append_once, open_table
from data.schema import Schema
from data.seals import Seal, seal_batch

PLACE = ("lehr_batch", "lehr_row")


@dataclass(frozen=True)
class Sorted:
    """The rows of a label file by what becomes of them.

    fresh: labels to keep, with the key, `lehr_label` and the `lehr_batch` and `lehr_row` of their row; null: they wait.
    known: how many were told before. refused: why the others are no labels, by their index in the file.
    """

    fresh: pl.DataFrame
    known: int
    refused: Mapping[int, str]


class LabelStore:
    """A pipeline's late labels, a Delta Lake table: key, `lehr_label`, `lehr_batch`, `lehr_row`, `lehr_labelled`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def append(self, labels_id: str, number: int, fresh: pl.DataFrame) -> Seal | None:
        """Keep the labels of one file under its id and number, once and safe under a crash; None for none."""
        if fresh.is_empty():
            return None
        rows = fresh.with_columns(pl.lit(number, pl.Int32).alias("lehr_labelled"))
        return seal_batch(self.folder, append_once(self.folder, labels_id, rows), rows)

    def joined(self, through: int | None = None) -> pl.DataFrame | None:
        """Batch, row, label and number of those that found their row, up to a number; None where there are none."""
        kept = self.read(through)
        if kept is None:
            return None
        return kept.drop_nulls("lehr_batch").select(*PLACE, "lehr_label", "lehr_labelled")

    def read(self, through: int | None = None) -> pl.DataFrame | None:
        """All labels that came up to a number; None where there are none."""
        table = open_table(self.folder)
        if table is None:
            return None
        kept = pl.scan_delta(table)
        return (kept if through is None else kept.filter(pl.col("lehr_labelled") <= through)).collect()


def waiting_labels(kept: pl.DataFrame | None, rows: pl.DataFrame, schema: Schema) -> pl.DataFrame:
    """The labels that came before their rows, none of which is among `rows`: key and `lehr_label`."""
    key = list(schema.key)
    if kept is None:
        return pl.DataFrame(schema={**{c: rows.schema[c] for c in key}, "lehr_label": schema.label_type})
    early = kept.filter(pl.col("lehr_batch").is_null()).select(*key, "lehr_label")
    return early.join(rows.select(key), on=key, how="anti")


def sort_labels(labels: pl.DataFrame, rows: pl.DataFrame, waiting: pl.DataFrame, schema: Schema) -> Sorted:
    """Find the row of each label.

    labels: key and target, as read. rows: key, target, `lehr_batch` and `lehr_row` of all stored rows, with the labels
    known so far. waiting: key and `lehr_label` of labels without a row.
    """
    key, target = list(schema.key), schema.target
    stored = rows.drop_nulls(key).rename({target: "known"}).group_by(key)
    by_key = stored.agg(pl.len().alias("matches"), pl.col("known", *PLACE).first())
    found = (
        labels.rename({target: "lehr_label"})
        .with_row_index("lehr_index")
        .join(by_key, on=key, how="left", maintain_order="left")
        .join(waiting.rename({"lehr_label": "waits"}), on=key, how="left", maintain_order="left")
        .with_columns(
            pl.col("lehr_label").drop_nulls().n_unique().over(key).alias("labels"),
            pl.int_range(pl.len()).over([*key, "lehr_label"]).alias("again"),
        )
        .with_columns(_reason(schema).alias("reason"))
    )
    refused = found.drop_nulls("reason")
    accepted = found.filter(pl.col("reason").is_null())
    told = (pl.col("known") == pl.col("lehr_label")) | (pl.col("waits") == pl.col("lehr_label")) | (pl.col("again") > 0)
    fresh = accepted.filter(~told.fill_null(False))
    reasons = dict(zip(refused["lehr_index"].to_list(), refused["reason"].to_list(), strict=True))
    return Sorted(fresh.select(*key, "lehr_label", *PLACE), accepted.height - fresh.height, reasons)


def fill_waiting(batch: pl.DataFrame, waiting: pl.DataFrame, schema: Schema) -> tuple[pl.DataFrame, dict[int, str]]:
    """A batch with the labels that waited for it, and for each of its rows that one contradicts, how.

    Where a key stands more than once in the batch, its label is given to none of the rows.
    """
    key, target = list(schema.key), schema.target
    if waiting.is_empty():
        return batch, {}
    found = batch.join(waiting, on=key, how="left", maintain_order="left")
    alone = pl.struct(key).is_unique()
    filled = pl.coalesce(target, pl.when(alone).then(pl.col("lehr_label"))).alias(target)
    waits = "a label {} waited for the row, which {}"
    reasons = found.with_row_index("lehr_index").with_columns(
        pl.when(pl.col(target) != pl.col("lehr_label"))
        .then(pl.format(waits, "lehr_label", pl.format("came with {}", target)))
        .when(~alone & pl.col("lehr_label").is_not_null())
        .then(pl.format(waits, "lehr_label", pl.lit("shares its key with another row")))
        .alias("reason")
    )
    told = reasons.drop_nulls("reason")
    return found.with_columns(filled).drop("lehr_label"), dict(zip(told["lehr_index"], told["reason"], strict=True))


def repeated_keys(batch: pl.DataFrame, stored: pl.DataFrame, schema: Schema) -> dict[int, str]:
    """Rows without a label that no later label could tell from another: index and reason.

    stored: the key and `lehr_batch` of the rows of earlier batches.
    """
    key = list(schema.key)
    earlier = stored.drop_nulls(key).unique(key, keep="first").select(*key, pl.col("lehr_batch").alias("before"))
    found = batch.with_row_index("lehr_index").join(earlier, on=key, how="left", maintain_order="left")
    named = pl.all_horizontal(pl.col(key).is_not_null()) & pl.col(schema.target).is_null()
    text = pl.lit(f"the key {', '.join(key)} ")
    reason = (
        pl.when(named & pl.struct(key).is_duplicated())
        .then(text + "stands more than once in the batch, so a later label would not find its row")
        .when(named & pl.col("before").is_not_null())
        .then(text + pl.format("is that of a row of batch {}, so a later label would not find its row", "before"))
    )
    told = found.with_columns(reason.alias("reason")).drop_nulls("reason")
    return dict(zip(told["lehr_index"].to_list(), told["reason"].to_list(), strict=True))


def _reason(schema: Schema) -> pl.Expr:
    """Why a row of a label file is no label; null where it is one."""
    key = list(schema.key)
    label = pl.col("lehr_label")
    infinite = label.is_infinite() if schema.task == "regression" else pl.lit(False)
    place = pl.format("batch {}, row {}", *PLACE)
    return (
        pl.when(pl.any_horizontal(pl.col(key).is_null()))
        .then(pl.lit(f"the key is not whole: one of {', '.join(key)} is empty"))
        .when(label.is_null())
        .then(pl.lit("there is no label"))
        .when(infinite)
        .then(pl.lit("the label is infinite"))
        .when(pl.col("labels") > 1)
        .then(pl.format("the file gives the key {} labels", "labels"))
        .when(pl.col("matches") > 1)
        .then(pl.format("the key is that of {} rows, the first in ", "matches") + place)
        .when(pl.col("known") != label)
        .then(pl.format("it contradicts the label {} of ", "known") + place)
        .when(pl.col("waits") != label)
        .then(pl.format("it contradicts the label {} that came before it and waits for its row", "waits"))
    )
