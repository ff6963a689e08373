"""What labels that come late say of the versions that served their rows, and of the champion."""

import numpy as np
import polars as pl

from data.samples import Samples
from data.windows import make_samples
from deployments.champions import Version, champion_of, version_of
from deployments.judging import in_classes_of
from deployments.line import Line
from deployments.outcomes import Batch, Completed, LabelsTaken, Rivalry, Watched
from deployments.rivalry import compare_with_rival
from deployments.row_rival import beside_on_rows
from deployments.setting_aside import faulty_batches
from deployments.watched import evidence_so_far, watched_before
from deployments.watching import estimate_on, score_no_change, unknown_classes, with_realised
from monitoring.performance import Predictions, row_losses, score, score_all
from monitoring.score_drift import Scored, scored_rows


def watch_labels(line: Line, batch: Batch, taken: LabelsTaken) -> Watched:
    """Score the rows whose labels have come, before anything learns from them.

    They were watched for drift when they came. Their score is that of the versions that served them; the champion's own
    is for the triggers, and goes to the rivals.
    """
    rows = line.store.read_labelled(range(batch.number, batch.number + 1))
    no_change = score_no_change(line, rows)
    champion = champion_of(line)
    if champion is None:
        return Watched(None, None, no_change, None, (), None)
    before = watched_before(line, batch)
    rivalry, detector = evidence_so_far(before, champion.number)
    told = () if before is None else before.told
    whole = rows.with_columns(pl.lit("all").alias("lehr_split"))
    samples = make_samples(whole, line.schema, line.window_length, champion.classes, keep_unknown=True)
    if len(samples) == 0:
        return Watched(champion.number, None, no_change, None, (), None, rivalry, detector, told=told)
    predictions, targets_B = champion.model.predict_samples(samples), samples.targets_B.numpy()
    now, found = score_all(line.config.task, predictions, targets_B), estimate_on(champion, predictions, samples, told)
    served, completed = _served(line, whole, champion, predictions, samples, taken)
    rivalry, scored = _evidence(line, champion, whole, rivalry)
    return Watched(
        champion.number,
        score_all(line.config.task, served, targets_B),
        no_change,
        drift=None,
        unknown_classes=unknown_classes(line, champion, rows),
        drift_page=None,
        rivalry=rivalry,
        detector=detector,
        scored=scored,
        estimate=found,
        told=with_realised(told, found, now[line.config.metric]),
        score_now=now,
        completed=completed,
    )


def _evidence(
    line: Line, champion: Version, rows: pl.DataFrame, before: Rivalry | None
) -> tuple[Rivalry | None, Scored | None]:
    """What the rows say for rivals and detectors; those of batches with a faulty sensor say nothing."""
    sound = rows.filter(~pl.col("lehr_batch").is_in(faulty_batches(line.ledger, line.name)))
    samples = make_samples(sound, line.schema, line.window_length, champion.classes, keep_unknown=True)
    if len(samples) == 0:
        return before, None
    metric, targets_B = line.config.metric, samples.targets_B.numpy()
    predictions = champion.model.predict_samples(samples)
    losses_B = row_losses(metric, predictions, targets_B)
    reached = score(metric, predictions, targets_B)
    rivalry = compare_with_rival(
        line, champion.number, before, lambda rival: beside_on_rows(line, rival, sound, losses_B, reached)
    )
    return rivalry, scored_rows(metric, predictions, targets_B)


def _served(
    line: Line, rows: pl.DataFrame, champion: Version, predictions: Predictions, samples: Samples, taken: LabelsTaken
) -> tuple[Predictions, tuple[Completed, ...]]:
    """The predictions of the versions that were in production when the rows came, and how these did, batch by batch.

    Rows that came before any champion are given the present one's.
    """
    came_B = rows["lehr_batch"].to_numpy()[(samples.starts_B + samples.length - 1).numpy()]
    served, completed, metric = predictions.copy(), list[Completed](), line.config.metric
    ids = {entry.number: entry.batch_id for entry in line.ledger.batches(line.name)}
    for number in taken.batches:
        watched, chosen_B = line.ledger.journal(line.name, ids[number])["watch"], np.flatnonzero(came_B == number)
        if watched["champion"] is None or not len(chosen_B):
            continue
        version = version_of(line, watched["champion"])
        if version.number != champion.number:
            of_batch = rows.filter(pl.col("lehr_batch") == number)
            served[chosen_B] = _predictions(line, of_batch, version, champion)
        targets_B, estimate = samples.targets_B.numpy()[chosen_B], watched["estimate"]
        reached = score(metric, served[chosen_B], targets_B)
        estimated = None if estimate is None else float(estimate["score"])
        completed.append(Completed(number, version.number, len(chosen_B), reached, estimated))
    return served, tuple(completed)


def _predictions(line: Line, rows: pl.DataFrame, version: Version, champion: Version) -> Predictions:
    samples = make_samples(rows, line.schema, line.window_length, champion.classes, keep_unknown=True)
    aligned = in_classes_of(champion, version, version.model.predict_samples(samples))
    assert aligned is not None, "there are samples"
    return aligned
