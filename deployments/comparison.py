"""What else one could have done: a static first champion, a cumulative and a sliding retrain after each batch."""

from pathlib import Path

import polars as pl
import torch

from data.samples import Samples
from data.windows import classes_of, make_samples
from deployments.candidates import plan_of
from deployments.champions import first_champion_of
from deployments.drafts import load_draft, save_draft
from deployments.line import Line
from deployments.outcomes import Batch, Compared, Retrained
from deployments.scoring import NetworkModel
from learning.learn import bootstrap
from monitoring.performance import Predictions, score

SLIDING_ROWS = 2_500


def compare(line: Line, batch: Batch) -> Compared:
    """Score on a stored batch the networks that knew only the batches before it; None where there is none yet."""
    static = first_champion_of(line)
    rows = _rows(line, range(batch.number, batch.number + 1))
    if static is None or rows[line.schema.target].null_count() == rows.height:
        return Compared(None, None, None)
    samples = make_samples(rows, line.schema, line.window_length, static.classes, keep_unknown=True)
    return Compared(
        _score(line, static.model.predict_samples(samples), samples),
        _retrained_score(line, "cumulative", rows),
        _retrained_score(line, "sliding", rows),
    )


def retrain_compared(line: Line, batch: Batch) -> Retrained:
    """Train the cumulative and the sliding network afresh after a batch, and keep them for the next.

    They learn from every row, held out or not: nobody judges them. The cost is the cumulative network's.
    """
    rows = _rows(line, range(1, batch.number + 1))
    if not (rows[line.schema.target].is_not_null() & (rows["lehr_labelled"] == batch.number)).any():
        return Retrained(0, 0.0)
    classes = classes_of(rows, line.schema)
    history = make_samples(rows, line.schema, line.window_length, classes)
    if len(history) == 0 or (classes is not None and len(classes) < 2):
        return Retrained(0, 0.0)
    cumulative = bootstrap(plan_of(line, classes), history)
    save_draft(_folder(line, "cumulative"), cumulative, classes)
    latest = history.take(torch.arange(max(0, len(history) - SLIDING_ROWS), len(history)))
    save_draft(_folder(line, "sliding"), bootstrap(plan_of(line, classes), latest), classes)
    return Retrained(cumulative.cost.samples, cumulative.cost.seconds)


def _rows(line: Line, batches: range) -> pl.DataFrame:
    """Stored rows as one split: windows may cross what is held out."""
    return line.store.read_labelled(batches).with_columns(pl.lit("all").alias("lehr_split"))


def _folder(line: Line, name: str) -> Path:
    return line.folder / "compared" / name


def _retrained_score(line: Line, name: str, rows: pl.DataFrame) -> float | None:
    if not _folder(line, name).exists():
        return None
    candidate, classes = load_draft(_folder(line, name))
    samples = make_samples(rows, line.schema, line.window_length, classes, keep_unknown=True)
    return _score(line, NetworkModel(candidate.served()).predict_samples(samples), samples)


def _score(line: Line, predictions: Predictions, samples: Samples) -> float:
    return score(line.config.metric, predictions, samples.targets_B.numpy())
