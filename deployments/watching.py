"""The champion on a new batch, and the batch against the champion's reference."""

from typing import Any

import numpy as np
import polars as pl
from pydantic import TypeAdapter

from data.windows import make_samples
from deployments.champions import Version, champion_of
from deployments.exporting import latest_rows
from deployments.line import Line
from deployments.outcomes import Batch, Rivalry, Watched
from deployments.rivalry import compare_with_rival
from deployments.setting_aside import faulty_batches
from monitoring.detector import DetectorState
from monitoring.drift import DriftReport, check_drift
from monitoring.performance import row_losses, score, score_all
from monitoring.reports import write_drift_page
from monitoring.score_drift import scored_rows

PAGE_FEATURES = 20
"""Evidently's page shows so many features: those that drifted most."""


def watch(line: Line, batch: Batch) -> Watched:
    """Score the champion on a stored batch, before anything learns from it, and look for drift."""
    frame, schema = line.store.read(batches=range(batch.number, batch.number + 1)), line.schema
    no_change = score_no_change(line, frame)
    champion = champion_of(line)
    if champion is None:
        return Watched(None, None, no_change, None, (), None)
    whole = frame.with_columns(pl.lit("all").alias("lehr_split"))
    samples = make_samples(whole, schema, line.window_length, champion.classes, keep_unknown=True)
    rivalry, detector = _evidence_so_far(line, batch, champion)
    if len(samples) == 0:
        return Watched(champion.number, None, no_change, None, (), None, rivalry, detector)
    predictions, targets_B = champion.model.predict_samples(samples), samples.targets_B.numpy()
    scores = score_all(line.config.task, predictions, targets_B)
    state = None if detector is None else DetectorState.from_json(detector)
    ends_B = (samples.starts_B + samples.length - 1).numpy()
    drift, after = check_drift(champion.reference, state, frame, schema, predictions, ends_B, line.config.drift)
    known = set(champion.classes or [])
    unknown = set(frame[schema.target].drop_nulls().unique().to_list()) - known if champion.classes else set[str]()
    page = _drift_page(line, batch, champion.candidate.trained_through, frame, drift)
    losses_B = row_losses(line.config.metric, predictions, targets_B)
    rivalry = compare_with_rival(line, champion, scores[line.config.metric], losses_B, whole, rivalry)
    labels = tuple(sorted(unknown))
    scored = scored_rows(line.config.metric, predictions, targets_B)
    return Watched(champion.number, scores, no_change, drift, labels, page, rivalry, after.to_json(), scored)


def _evidence_so_far(line: Line, batch: Batch, champion: Version) -> tuple[Rivalry | None, dict[str, Any] | None]:
    """What the latest batch before this one left of the rivals and of drift, if it had the same champion.

    A batch with a faulty sensor is no evidence for either.
    """
    faulty = faulty_batches(line.ledger, line.name)
    found = line.ledger.latest_outcome(line.name, "watch", batch.number, without=faulty)
    before = None if found is None else TypeAdapter(Watched).validate_python(found)
    if before is None or before.champion != champion.number:
        return None, None
    return before.rivalry, before.detector


def score_no_change(line: Line, frame: pl.DataFrame) -> float | None:
    """The metric of predicting for each labelled row what the labelled row before it had; None without an order."""
    if line.config.data.order == "none" or line.config.metric == "log_loss":
        return None
    targets = frame[line.schema.target].drop_nulls()
    if len(targets) < 2:
        return None
    if targets.dtype != pl.String:
        values = targets.to_numpy()
        return score(line.config.metric, values[:-1], values[1:])
    numbers = targets.cast(pl.Categorical).to_physical().to_numpy().astype(np.int64)
    return score(line.config.metric, np.eye(numbers.max() + 1, dtype=np.float32)[numbers[:-1]], numbers[1:])


def _drift_page(line: Line, batch: Batch, learned_through: int, frame: pl.DataFrame, drift: DriftReport) -> str | None:
    wanted = line.config.drift.report
    if wanted == "never" or (wanted == "on_drift" and not drift.drifted):
        return None
    path = line.folder / "drift" / f"{batch.number}.html"
    columns = [*drift.most_drifted(PAGE_FEATURES), line.schema.target]
    write_drift_page(latest_rows(line, learned_through), frame, columns, path, line.config.training.seed)
    return str(path)
