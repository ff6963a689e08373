"""Labels of what was served, told by receipt: they score who answered, and their rows may be learned from.

Shapes: N rows, B samples.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from filelock import FileLock

from data.inbox import waiting
from data.readers import read_batch, read_columns
from data.served_inputs import ID, STEP, VERSION, keep_labels, labels_told, read_requests
from data.sources import Arrival, drop_into
from deployments.champions import champion_of, version_of
from deployments.line import Line
from deployments.served import samples_of, whole_windows
from monitoring.performance import score_all

_PREFIX = "served-"
_SHOWN = 5
"""So many receipts or classes that are not known are named."""


@dataclass(frozen=True)
class Told:
    """What labels by receipt have said.

    scores: by version, how many and each metric. batch: where the rows wait to be learned from; None: `why_not`.
    """

    scores: dict[int, tuple[int, dict[str, float]]]
    known: int
    contradicted: tuple[str, ...]
    not_kept: int
    batch: Path | None
    why_not: str | None = None
    unknown_classes: tuple[str, ...] = field(default=())

    def as_json(self) -> dict[str, Any]:
        """As it goes to a client; batch_id: the SHA-256 of the rows that wait."""
        scores = [{"version": v, "predictions": many, "metrics": metrics} for v, (many, metrics) in self.scores.items()]
        batch_id = None if self.batch is None else self.batch.stem.removeprefix(_PREFIX)
        counts = {"known": self.known, "contradicted": list(self.contradicted), "not_kept": self.not_kept}
        unknown = {"unknown_classes": list(self.unknown_classes)}
        return {"scores": scores, **counts, **unknown, "batch_id": batch_id, "not_learned": self.why_not}


def holds_receipts(arrival: Arrival) -> bool:
    """Whether a file's rows are named by the receipts of predictions."""
    return ID in read_columns(arrival)


def tell_labels(line: Line, inbox: Path, arrival: Arrival, new_classes: bool = False) -> Told:
    """Join labels to what was served, by receipt: score the versions that answered, and let the rows be learned from.

    A label that was told before changes nothing; one that contradicts an earlier one is left out. Rows become a batch
    of the inbox where a row is all that a batch of this pipeline has. Raises ValueError, and takes nothing, for a file
    without the target, with a receipt that no prediction has, and, unless there may be new ones, with a class that no
    version knows.
    """
    labels, doubtful = _labels(line, arrival)
    allowed = _check_receipts(line, [*labels[ID], *doubtful])
    if allowed is not None and not new_classes:
        _check_classes(labels[line.schema.target], allowed)
    with FileLock(line.folder / "labels-by-receipt.lock"):
        return _tell(line, inbox, arrival, labels, doubtful)


def _tell(line: Line, inbox: Path, arrival: Arrival, labels: pl.DataFrame, doubtful: list[str]) -> Told:
    before = labels_told(line.folder)
    repeated = [name for name, label in labels.iter_rows() if name in before and before[name] == label]
    contradicted = doubtful + [name for name, label in labels.iter_rows() if name in before and before[name] != label]
    new = labels.filter(~pl.col(ID).is_in([*repeated, *contradicted]))
    kept = whole_windows(line, read_requests(line.folder, sorted({_request_of(name) for name in new[ID]})))
    found = None if kept is None else kept.join(new, on=ID, maintain_order="left")
    if found is None or found.is_empty():
        return Told({}, len(repeated), tuple(contradicted), new.height, None)
    why_not = _why_no_batch(line)
    batch = None if why_not else _drop(inbox, found.select(*line.schema.features, line.schema.target))
    keep_labels(line.folder, found.unique(ID, maintain_order=True).select(ID, line.schema.target), arrival.id)
    missing = new.height - found[ID].n_unique()
    scores, unknown = _scores(line, found)
    return Told(scores, len(repeated), tuple(contradicted), missing, batch, why_not, unknown)


def _labels(line: Line, arrival: Arrival) -> tuple[pl.DataFrame, list[str]]:
    """The id and the label, once for each, and the ids that the file gives two labels."""
    columns = read_columns(arrival)
    if not {ID, line.schema.target} <= {*columns}:
        needed = f"{ID} and {line.schema.target}"
        raise ValueError(f"{arrival.name}: labels by receipt need the columns {needed}; it has {', '.join(columns)}")
    read = read_batch(arrival, line.schema.of_receipts(ID)).select(ID, line.schema.target)
    labels = read.drop_nulls().unique(maintain_order=True)
    once = labels[ID].is_unique()
    return labels.filter(once), labels.filter(~once)[ID].unique(maintain_order=True).to_list()


def _request_of(receipt: str) -> str:
    """The request that a receipt numbers the samples of."""
    return receipt.rpartition("-")[0]


def _check_receipts(line: Line, receipts: Sequence[str]) -> list[str] | None:
    """The classes that those know who answered, and who is in production now; None where values are predicted."""
    versions = line.ledger.versions_asked(line.name, {_request_of(receipt) for receipt in receipts})
    unknown = [receipt for receipt in receipts if _request_of(receipt) not in versions]
    if unknown:
        known = "its receipts are in the answers of predictions, such as 9f1c0a5e2b7d4c3f8a61-1"
        raise ValueError(f"no prediction of {line.name} has {_listed('the receipt', unknown)}; {known}")
    if line.schema.task == "regression":
        return None
    opened = [champion_of(line), *(version_of(line, number) for number in sorted(set(versions.values())))]
    return sorted({label for version in opened if version is not None for label in version.classes or []})


def _check_classes(labels: pl.Series, allowed: Sequence[str]) -> None:
    unknown = sorted({*labels} - {*allowed})
    if unknown:
        known = f"its classes are {', '.join(allowed)}"
        raise ValueError(f"no version knows {_listed('the class', unknown)}; {known}, unless new classes are allowed")


def _listed(noun: str, names: Sequence[str]) -> str:
    shown = ", ".join(name[:100] for name in names[:_SHOWN])
    return f"{noun} {shown}" if len(names) <= _SHOWN else f"{noun} {shown} and {len(names) - _SHOWN:,} more"


def _why_no_batch(line: Line) -> str | None:
    """Why rows by receipt cannot be a batch of this pipeline."""
    if line.window_length > 1:
        return "its samples are windows, and single windows are no batch"
    beside = [c for c in (line.schema.timestamp, line.schema.group, *line.schema.key) if c is not None]
    return (
        f"its batches have {', '.join(dict.fromkeys(beside))}, which no prediction was asked with" if beside else None
    )


def _drop(inbox: Path, rows: pl.DataFrame) -> Path:
    """Once, whoever brings the same labels again before the loop has come."""
    content = rows.write_csv().encode()
    name = f"{_PREFIX}{hashlib.sha256(content).hexdigest()}.csv"
    there = next((file for file in waiting(inbox) if file.name == name), None)
    return there or drop_into(inbox, name, content)


def _scores(line: Line, found: pl.DataFrame) -> tuple[dict[int, tuple[int, dict[str, float]]], tuple[str, ...]]:
    """Of each version that answered, on the labels that it knows; and the labels that one of them does not."""
    scores: dict[int, tuple[int, dict[str, float]]] = {}
    unknown: set[str] = set()
    for number in found[VERSION].unique().sort():
        version, rows = version_of(line, number), found.filter(pl.col(VERSION) == number)
        if version.classes is not None:
            unknown |= {*rows[line.schema.target].unique()} - {*version.classes}
            rows = rows.filter(pl.col(line.schema.target).is_in(version.classes))
        if rows.is_empty():
            continue
        last = rows.filter(pl.col(STEP) == pl.col(STEP).max().over(ID))
        targets: Any = last[line.schema.target].to_numpy()
        if version.classes is not None:
            targets = np.array([version.classes.index(label) for label in targets])
        scores[number] = (
            last.height,
            score_all(line.config.task, version.model.predict(samples_of(line, rows)), targets),
        )
    return scores, tuple(sorted(unknown))
