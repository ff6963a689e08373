"""The champion on a new batch, and the batch against the champion's reference."""

from dataclasses import replace

import numpy as np
import polars as pl
import torch

from data.samples import Samples
from data.windows import last_rows, make_samples
from deployments.champions import Version, champion_of
from deployments.exporting import latest_rows
from deployments.line import Line
from deployments.outcomes import Batch, Watched
from deployments.rivalry import compare_with_rival
from deployments.row_rival import beside_on_rows
from deployments.watched import evidence_so_far, watched_before
from monitoring.detector import DetectorState
from monitoring.drift import DriftReport, check_drift
from monitoring.estimation import MOST_BATCHES, Estimate, estimate
from monitoring.performance import Predictions, row_losses, score, score_all
from monitoring.reports import write_drift_page
from monitoring.score_drift import scored_rows

Told = tuple[tuple[float, float], ...]

PAGE_FEATURES = 20
"""Evidently's page shows so many features: those that drifted most."""


def watch(line: Line, batch: Batch) -> Watched:
    """Score the champion on a stored batch, before anything learns from it, and look for drift.

    Where rows have no label their score is estimated.
    """
    frame, schema = line.store.read(batches=range(batch.number, batch.number + 1)), line.schema
    no_change = score_no_change(line, frame)
    champion = champion_of(line)
    if champion is None:
        return Watched(None, None, no_change, None, (), None)
    before = watched_before(line, batch)
    rivalry, detector = evidence_so_far(before, champion.number)
    whole = frame.with_columns(pl.lit("all").alias("lehr_split"))
    every = make_samples(whole, schema, line.window_length, champion.classes, keep_unknown=True, keep_unlabelled=True)
    samples, labelled = _shown(every, whole, schema.target)
    told = () if before is None else before.told
    if len(samples) == 0:
        return Watched(champion.number, None, no_change, None, (), None, rivalry, detector, told=told)
    predictions = champion.model.predict_samples(samples)
    state = None if detector is None else DetectorState.from_json(detector)
    ends_B = (samples.starts_B + samples.length - 1).numpy()
    drift, after = check_drift(champion.reference, state, frame, schema, predictions, ends_B, line.config.drift)
    page = _drift_page(line, batch, champion.candidate.trained_through, frame, drift)
    found = estimate_on(champion, predictions, samples, told)
    scores = scored = None
    if labelled:
        targets_B = samples.targets_B.numpy()
        scores = score_all(line.config.task, predictions, targets_B)
        scored = scored_rows(line.config.metric, predictions, targets_B)
        reached, losses_B = scores[line.config.metric], row_losses(line.config.metric, predictions, targets_B)
        rivalry = compare_with_rival(
            line, champion.number, rivalry, lambda rival: beside_on_rows(line, rival, whole, losses_B, reached)
        )
        told = with_realised(told, found, reached)
    unknown, state_after = unknown_classes(line, champion, frame), after.to_json()
    seen = Watched(champion.number, scores, no_change, drift, unknown, page, rivalry, state_after, scored)
    return replace(seen, estimate=found, told=told)


def _shown(every: Samples, rows: pl.DataFrame, target: str) -> tuple[Samples, bool]:
    """The labelled samples, or where there are none all of them; and whether they are labelled."""
    told_N = torch.from_numpy(rows[target].is_not_null().to_numpy().copy())
    told_B = told_N[every.starts_B + every.length - 1]
    return (every.take(told_B.nonzero().flatten()), True) if told_B.any() else (every, False)


def estimate_on(champion: Version, predictions: Predictions, samples: Samples, told: Told) -> Estimate | None:
    """The champion's score to be expected on the samples, whatever their labels; None without an estimator."""
    estimator = champion.reference.estimator
    return None if estimator is None else estimate(estimator, predictions, last_rows(samples), told)


def with_realised(told: Told, found: Estimate | None, realised: float) -> Told:
    """The expected and realised scores of the latest batches, this one's among them."""
    return told if found is None else (*told, (found.expected, realised))[-MOST_BATCHES:]


def unknown_classes(line: Line, champion: Version, rows: pl.DataFrame) -> tuple[str, ...]:
    """The labels among the rows that the champion does not know, sorted."""
    if champion.classes is None:
        return ()
    return tuple(sorted(set(rows[line.schema.target].drop_nulls().unique().to_list()) - set(champion.classes)))


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
