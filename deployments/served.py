"""What is served, watched for drift before any label comes, and scored once labels are told by receipt.

Shapes: N rows, B samples, L window length, C features.
"""

from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from data.inbox import waiting
from data.readers import read_batch, read_columns
from data.served_inputs import ID, STEP, VERSION, keep_labels, labels_told, read_inputs_served, read_requests
from data.sources import Arrival, drop_into
from deployments.champions import champion_of, version_of
from deployments.line import Line
from monitoring.drift import DriftReport, check_drift
from monitoring.performance import score_all


@dataclass(frozen=True)
class ServedDrift:
    """The champion's predictions since it went into production, and how their readings lie beside its reference."""

    version: int
    since: datetime
    samples: int
    report: DriftReport


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


def watch_served(line: Line) -> ServedDrift | None:
    """Compare what the champion was asked since it went into production with its reference; None before any.

    Of a window the last row counts, as windows that follow one another share the others. Looked at once a day, the
    budget of false alarms a year is the pipeline's, for every look is held to a year's share of it.
    """
    champion, promotion = champion_of(line), line.ledger.champion(line.name)
    if champion is None or promotion is None:
        return None
    kept = _whole_windows(line, read_inputs_served(line.folder, promotion.at, champion.number))
    if kept is None:
        return None
    predictions = champion.model.predict(_samples(line, kept))
    last = kept.filter(pl.col(STEP) == pl.col(STEP).max().over(ID))
    rows = last.select(line.schema.features).with_columns(
        pl.lit(None, line.schema.label_type).alias(line.schema.target)
    )
    report, _ = check_drift(
        champion.reference, None, rows, line.schema, predictions, np.arange(rows.height), line.config.drift
    )
    return ServedDrift(champion.number, promotion.at, rows.height, report)


def holds_receipts(arrival: Arrival) -> bool:
    """Whether a file's rows are named by the receipts of predictions."""
    return ID in read_columns(arrival)


def tell_labels(line: Line, inbox: Path, arrival: Arrival) -> Told:
    """Join labels to what was served, by receipt: score the versions that answered, and let the rows be learned from.

    A label that was told before changes nothing; one that contradicts an earlier one is left out. Rows become a batch
    of the inbox where a row is all that a batch of this pipeline has. Raises ValueError for a file without the target.
    """
    labels, doubtful = _labels(line, arrival)
    before = labels_told(line.folder)
    repeated = [name for name, label in labels.iter_rows() if name in before and before[name] == label]
    contradicted = doubtful + [name for name, label in labels.iter_rows() if name in before and before[name] != label]
    new = labels.filter(~pl.col(ID).is_in([*repeated, *contradicted]))
    requests = new[ID].str.replace(r"-\d+$", "").unique().to_list()
    kept = _whole_windows(line, read_requests(line.folder, requests))
    found = None if kept is None else kept.join(new, on=ID, maintain_order="left")
    if found is None or found.is_empty():
        return Told({}, len(repeated), tuple(contradicted), new.height, None)
    why_not = _why_no_batch(line)
    batch = None if why_not else _drop(inbox, found.select(*line.schema.features, line.schema.target), arrival)
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


def _whole_windows(line: Line, kept: pl.DataFrame | None) -> pl.DataFrame | None:
    """The samples of the pipeline's length; None where there is none."""
    whole = None if kept is None else kept.filter(pl.len().over(ID) == line.window_length)
    return None if whole is None or whole.is_empty() else whole


def _why_no_batch(line: Line) -> str | None:
    """Why rows by receipt cannot be a batch of this pipeline."""
    if line.window_length > 1:
        return "its samples are windows, and single windows are no batch"
    beside = [c for c in (line.schema.timestamp, line.schema.group, *line.schema.key) if c is not None]
    return (
        f"its batches have {', '.join(dict.fromkeys(beside))}, which no prediction was asked with" if beside else None
    )


def _drop(inbox: Path, rows: pl.DataFrame, arrival: Arrival) -> Path:
    """Once, whoever brings the same labels again before the loop has come."""
    name = f"served-{arrival.id}.csv"
    there = next((file for file in waiting(inbox) if file.name == name), None)
    return there or drop_into(inbox, name, rows.write_csv().encode())


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
        scores[number] = last.height, score_all(line.config.task, version.model.predict(_samples(line, rows)), targets)
    return scores, tuple(sorted(unknown))


def _samples(line: Line, rows: pl.DataFrame) -> NDArray[np.float32]:
    """Rows in their order as (B, C), or (B, L, C); windows of one length only."""
    readings_NC = rows.select(pl.col(line.schema.features).fill_null(np.nan)).to_numpy().astype(np.float32)
    if line.window_length == 1:
        return np.ascontiguousarray(readings_NC)
    return np.ascontiguousarray(readings_NC.reshape(rows[ID].n_unique(), -1, readings_NC.shape[1]))
