"""What was stored, as hashes that are kept elsewhere: the rows of a batch, and the files that one commit brought."""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

import polars as pl
from deltalake import DeltaTable
from deltalake.exceptions import DeltaError

from data.changes import Change, sha256_of
from data.row_hashes import RowsHash, hash_frame

LOG = "_delta_log"
AT_ONCE = 50
"""Batches read together while they are checked."""


@dataclass(frozen=True)
class Seal:
    """The hash of a batch's rows, and the SHA-256 of each file of its commit by its path in the table's folder."""

    rows: RowsHash
    files: dict[str, str]


def seal_batch(folder: Path, version: int, rows: pl.DataFrame) -> Seal:
    """The seal of a batch that a commit of the Delta Lake table in this folder has just brought."""
    commit = folder / LOG / f"{version:020}.json"
    actions = [json.loads(line) for line in commit.read_text().splitlines()]
    added = [folder / unquote(action["add"]["path"]) for action in actions if "add" in action]
    files = {str(path.relative_to(folder)): sha256_of(path) for path in (commit, *added)}
    return Seal(hash_frame(_in_order(rows)), files)


def check_seals(folder: Path, seals: Mapping[int, Seal], unsealed: Iterable[int]) -> Iterator[Change]:
    """What of a table is not as it was sealed: a file or a batch that is missing, was changed, or was put in.

    seals: by the batch's number; those of an adopted model's rows are under 0. unsealed: batches stored before there
    were seals, which cannot be checked.
    """
    yield from check_files(folder, seals)
    yield from _check_table(folder, seals, set(unsealed))


def check_files(folder: Path, seals: Mapping[int, Seal]) -> Iterator[Change]:
    """The files of a table that are missing or were changed since they were sealed."""
    for number, seal in seals.items():
        for name, digest in seal.files.items():
            path = folder / name
            if not path.is_file():
                if path.parent.name != LOG or not _is_in_a_checkpoint(folder, path):
                    yield Change(str(path), f"is missing; it held rows of batch {number}")
            elif sha256_of(path) != digest:
                yield Change(str(path), f"was changed; it holds rows of batch {number}")


def _is_in_a_checkpoint(folder: Path, commit: Path) -> bool:
    """Delta Lake deletes commits a month after a checkpoint holds what they said."""
    last = folder / LOG / "_last_checkpoint"
    return last.is_file() and json.loads(last.read_text())["version"] >= int(commit.stem)


def _check_table(folder: Path, seals: Mapping[int, Seal], unsealed: set[int]) -> Iterator[Change]:
    """What a reader of the table finds, batch by batch."""
    if not DeltaTable.is_deltatable(str(folder)):
        if seals:
            yield Change(str(folder), "holds no table any more")
        return
    try:
        rows = pl.scan_delta(DeltaTable(str(folder))).with_columns(
            pl.col("lehr_batch").clip(lower_bound=0).alias("sealed")
        )
        found = rows.select(pl.col("sealed").unique()).collect()["sealed"].to_list()
        for number in sorted(set(found) - set(seals) - unsealed):
            yield Change(f"{folder}, batch {number}", "was put in by other means than lehr's")
        numbers = sorted(seals)
        for start in range(0, len(numbers), AT_ONCE):
            wanted = numbers[start : start + AT_ONCE]
            read = rows.filter(pl.col("sealed").is_in(wanted)).collect()
            for number in wanted:
                of_batch = read.filter(pl.col("sealed") == number).drop("sealed")
                yield from _compare(folder, number, _in_order(of_batch), seals[number].rows)
    except (OSError, DeltaError, pl.exceptions.PolarsError) as error:
        yield Change(str(folder), f"cannot be read: {str(error).splitlines()[0]}")


def _in_order(rows: pl.DataFrame) -> pl.DataFrame:
    """By batch and row; by all else where an adopted model's rows share both."""
    return rows.sort("lehr_batch", "lehr_row", *sorted({*rows.columns} - {"lehr_batch", "lehr_row"}))


def _compare(folder: Path, number: int, rows: pl.DataFrame, sealed: RowsHash) -> Iterator[Change]:
    found = hash_frame(rows)
    if found.sha256 == sealed.sha256:
        return
    if rows.is_empty():
        yield Change(f"{folder}, batch {number}", "has no rows any more")
        return
    differ = sorted(
        name for name in {*found.columns, *sealed.columns} if found.columns.get(name) != sealed.columns.get(name)
    )
    yield Change(f"{folder}, batch {number}", f"was changed in {', '.join(differ)}")
