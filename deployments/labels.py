"""Labels that come later than their batches: joined by key, once, whatever is killed in between."""

from collections.abc import Iterable, Sequence

import polars as pl

from data.feature_store import BEFORE_ALL
from data.late_labels import Sorted, fill_waiting, repeated_keys, sort_labels, waiting_labels
from data.quarantine import quarantine_batch, quarantine_rows
from data.readers import BadBatch, read_batch, read_columns
from data.schema import Schema
from data.sources import Arrival
from data.suite import load_suite
from data.validation import broken_targets
from deployments.line import Line
from deployments.outcomes import Batch, LabelsTaken


def holds_labels(arrival: Arrival, schema: Schema) -> bool:
    """Whether a file brings labels for earlier rows: the key and the target, and not one feature."""
    try:
        columns = set(read_columns(arrival))
    except BadBatch:
        return False
    return bool(schema.key) and columns >= {*schema.key, schema.target} and not columns & set(schema.features)


def check_label_files(schema: Schema, arrivals: Iterable[Arrival]) -> None:
    """Raise ValueError, saying which columns are needed, for a file that does not hold labels."""
    if not schema.key:
        raise ValueError("data.key: name the columns by which labels find their rows, such as [line, time]")
    for arrival in arrivals:
        if not holds_labels(arrival, schema):
            needed = ", ".join([*schema.key, schema.target])
            raise ValueError(f"{arrival.name} is no file of labels: it needs the columns {needed}, and no feature")


def take_labels(line: Line, batch: Batch, arrival: Arrival) -> LabelsTaken:
    """Join a file's labels to the stored rows and keep them under the number of its arrival.

    Called again for the same arrival it says the same and changes nothing. What is no label goes to quarantine with its
    reason; a label without a row waits for it.
    """
    try:
        labels = read_batch(arrival, line.schema.of_labels())
    except BadBatch as bad:
        quarantine_batch(line.quarantine, arrival, bad.reason)
        return LabelsTaken(0, 0, bad.reason)
    found = _sort(line, batch, labels)
    broken = broken_targets(labels, line.schema, load_suite(line.suite_path)) if line.suite_path.exists() else {}
    fresh = _without(found.fresh, labels[sorted(broken)], line.schema)
    refused = {**broken, **found.refused}
    if refused:
        quarantine_rows(line.quarantine, batch.id, labels, refused)
    seal = line.store.labels.append(batch.id, batch.number, fresh)
    of = fresh["lehr_batch"].drop_nulls()
    batches, waiting = tuple(of.unique().sort()), fresh.height - len(of)
    return LabelsTaken(len(of), len(refused), None, (), found.known, waiting, batches, seal)


def join_waiting(line: Line, batch: Batch, staged: pl.DataFrame) -> tuple[pl.DataFrame, int]:
    """A batch's sound rows with the labels that came before them, and how many of these it contradicts."""
    kept = line.store.labels.read(through=batch.number - 1) if line.schema.key else None
    if kept is None:
        return staged, 0
    waiting = waiting_labels(kept, _keyed_rows(line, batch.number), line.schema)
    filled, contradicted = fill_waiting(staged, waiting, line.schema)
    if contradicted:
        quarantine_rows(line.quarantine, f"{batch.id}-labels", staged, contradicted)
    return filled, len(contradicted)


def rows_beyond_labels(line: Line, batch: Batch, frame: pl.DataFrame) -> dict[int, str]:
    """Rows without a label that share their key, so that a later label would not find them: index and reason.

    Only a key that the pipeline names is meant to tell all rows apart.
    """
    if line.config.data.key is None:
        return {}
    return repeated_keys(frame, _keyed_rows(line, batch.number), line.schema)


def _sort(line: Line, batch: Batch, labels: pl.DataFrame) -> Sorted:
    """What becomes of the labels, by all that came before this number."""
    schema, kept = line.schema, line.store.labels.read(through=batch.number - 1)
    rows = _keyed_rows(line, batch.number, [schema.target])
    return sort_labels(labels, rows, waiting_labels(kept, rows, schema), schema)


def _keyed_rows(line: Line, before: int, columns: Sequence[str] = ()) -> pl.DataFrame:
    """Keys, and other columns, of the rows that came before a number, with the labels that did."""
    wanted = [*line.schema.key, *columns]
    if line.store.is_empty:
        types = {**dict.fromkeys(line.schema.key, pl.String()), line.schema.target: line.schema.label_type}
        return pl.DataFrame(schema={**{c: types[c] for c in wanted}, "lehr_batch": pl.Int32, "lehr_row": pl.Int32})
    return line.store.read(range(BEFORE_ALL, before), columns=wanted, labels_through=before - 1)


def _without(fresh: pl.DataFrame, bad: pl.DataFrame, schema: Schema) -> pl.DataFrame:
    key = list(schema.key)
    return fresh.join(bad.select(key), on=key, how="anti", maintain_order="left")
