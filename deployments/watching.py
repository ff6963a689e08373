"""The champion on a new batch, and the batch against the champion's reference."""

import numpy as np
import polars as pl
from numpy.typing import NDArray

from data.samples import Samples
from data.windows import make_samples
from deployments.champions import Version, champion_of, latest_rows
from deployments.line import Line
from deployments.outcomes import Batch, Watched
from monitoring.drift import DriftReport, check_drift
from monitoring.performance import Predictions, score, score_all
from monitoring.reports import write_drift_page


def watch(line: Line, batch: Batch) -> Watched:
    """Score the champion on a stored batch and hold the batch against the champion's reference."""
    frame = line.store.read(batches=range(batch.number, batch.number + 1))
    no_change = score_no_change(line, batch, frame)
    champion = champion_of(line)
    if champion is None:
        return Watched(None, None, no_change, None, (), None)
    classes = champion.classes
    samples = make_samples(frame, line.schema, line.config.data.window.length, classes, unknown="score")
    predictions = champion.model.predict(samples.inputs().numpy())
    scores = score_all(line.config.task, predictions, samples.targets_B.numpy()) if len(samples) else None
    drift = check_drift(champion.reference, frame, line.schema, predictions, line.config.drift)
    unknown = _unknown_classes(frame, line.schema.target, classes)
    return Watched(champion.number, scores, no_change, drift, unknown, _drift_page(line, batch, frame, drift))
