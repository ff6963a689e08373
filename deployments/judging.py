"""The evidence for the gate: candidate and champion on rows that no training has seen."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import polars as pl
from numpy.typing import NDArray

from data.samples import Samples, join_samples
from data.windows import make_samples
from deployments import gate
from deployments.candidates import trained_targets, training_samples
from deployments.champions import Version, champion_of, version_of
from deployments.estimates import with_estimate
from deployments.leaks import batches_of_twins, count_learned
from deployments.line import Line
from deployments.outcomes import Batch, Exported, Judged
from deployments.setting_aside import sound_holdout
from deployments.verdict import Judged as Evidence
from deployments.verdict import Verdict
from learning.blend import relevance
from monitoring.comparison import Floats
from monitoring.performance import LOWER_IS_BETTER, Predictions, score


def judge_version(line: Line, batch: Batch, exported: Exported, wealth: float = 0.0) -> Judged:
    """Hold a version against the champion on the hold-outs of all batches up to this one.

    wealth: what the version has shown in the shadow, if it was there. Where the newest batches have no labels yet, what
    would be asked of the version there is asked of its estimate.
    """
    candidate, champion = version_of(line, exported.version), champion_of(line)
    holdouts = sound_holdout(line, batch.number)
    evidence = replace(_evidence(line, batch, holdouts, candidate, champion, exported.parity_error), wealth=wealth)
    verdict = gate.judge(line.config.gate, line.config.metric, evidence)
    verdict, resting = with_estimate(line, batch, verdict, holdouts, candidate, champion)
    compared_with = None if champion is None else champion.number
    score_new = _score_on_new(line, batch, evidence)
    return Judged(verdict, score_new, _champion_holds(line, evidence), compared_with, resting)


def judge_again(line: Line, batch: Batch, exported: Exported, previous: int) -> Verdict:
    """Hold a version against the one that it replaced, on the hold-outs whose labels have come up to a number."""
    candidate, champion = version_of(line, exported.version), version_of(line, previous)
    holdouts = sound_holdout(line, batch.number)
    evidence = _evidence(line, batch, holdouts, candidate, champion, exported.parity_error)
    proven = line.config.gate.model_copy(update={"appetite": "probation"})
    return gate.judge(proven, line.config.metric, evidence)


def _evidence(
    line: Line, batch: Batch, holdouts: pl.DataFrame, candidate: Version, champion: Version | None, parity_error: float
) -> Evidence:
    schema, classes = line.schema, candidate.classes
    samples = make_samples(holdouts, schema, line.window_length, classes, keep_unknown=True)
    batches_B, ends_B = samples.batches_B.numpy(), (samples.starts_B + samples.length - 1).numpy()
    ages_B = batch.number - batches_B
    return Evidence(
        targets_B=samples.targets_B.numpy(),
        batches_B=batches_B,
        relevance_B=relevance(ages_B, candidate.candidate.evidence.weights()),
        before_B=None if champion is None else relevance(ages_B, champion.candidate.evidence.weights()),
        readings_BC=samples.rows_NC.numpy()[ends_B],
        features=schema.features,
        groups_B=None if schema.group is None else holdouts[schema.group].fill_null("unknown").to_numpy()[ends_B],
        group=schema.group,
        classes=None if classes is None else tuple(classes),
        previous_B=_previous(line, batch, holdouts[ends_B], classes),
        candidate=_predict(candidate, samples),
        champion=None if champion is None else in_classes_of(candidate, champion, _predict(champion, samples)),
        # A request stands at the newest batch, which the champion may have learned from: its held-out rows judge.
        champion_through=None if champion is None else min(champion.candidate.trained_through, batch.number - 1),
        trained_T=trained_targets(line, batch.number, classes),
        holdouts_learned=_count_learned(line, candidate, samples),
        latency_ms=candidate.model.latency_ms(line.window_length),
        size_mb=len(candidate.onnx) / 1e6,
        parity_error=parity_error,
        seed=line.config.training.seed,
    )


def _previous(line: Line, batch: Batch, rows: pl.DataFrame, classes: Sequence[str] | None) -> Floats | None:
    """For each held-out row of the newest batch the target of the labelled row before it in its group, else NaN."""
    if line.config.data.order == "none":
        return None
    schema, frame = line.schema, line.store.read_labelled(range(batch.number, batch.number + 1))
    before = pl.col(schema.target).forward_fill().shift(1)
    before = before if schema.group is None else before.over(schema.group)
    known = frame.select("lehr_batch", "lehr_row", before.alias("before"))
    found = rows.select("lehr_batch", "lehr_row").join(known, on=["lehr_batch", "lehr_row"], how="left")["before"]
    if classes is not None:
        numbers = {label: float(number) for number, label in enumerate(classes)}
        found = found.replace_strict(numbers, default=None, return_dtype=pl.Float64)
    return found.cast(pl.Float64).fill_null(float("nan")).to_numpy()


def _count_learned(line: Line, candidate: Version, held_out: Samples) -> int:
    """Held-out rows in the candidate's memory; training rows are read only of batches where some look like them."""
    memory = candidate.candidate.memory.samples
    suspects = batches_of_twins(memory, held_out)
    trained = [training_samples(line, range(number, number + 1), candidate.classes) for number in suspects]
    return count_learned(memory, join_samples(trained), held_out) if trained else 0


def _predict(version: Version, samples: Samples) -> Predictions | None:
    return version.model.predict_samples(samples) if len(samples) else None


def in_classes_of(candidate: Version, champion: Version, predictions: Predictions | None) -> Predictions | None:
    """The champion's probabilities by the candidate's class numbers; a class it does not know gets none."""
    if predictions is None or candidate.classes is None or champion.classes is None:
        return predictions
    aligned_BK = np.zeros((len(predictions), len(candidate.classes)), dtype=np.float32)
    for number, label in enumerate(champion.classes):
        if label in candidate.classes:
            aligned_BK[:, candidate.classes.index(label)] = predictions[:, number]
    return aligned_BK


def _score_on_new(line: Line, batch: Batch, evidence: Evidence) -> float | None:
    """On the newest batch alone: what it is depends on the candidate, not on when the champion learned."""
    return _score(line, evidence, evidence.candidate, evidence.batches_B == batch.number)


def _champion_holds(line: Line, evidence: Evidence) -> bool:
    """Whether the champion itself would still pass the threshold on the new hold-out."""
    found = _score(line, evidence, evidence.champion, evidence.new_B)
    limit = line.config.gate.threshold
    if found is None or limit is None:
        return found is not None
    return found <= limit if line.config.metric in LOWER_IS_BETTER else found >= limit


def _score(
    line: Line, evidence: Evidence, predictions: Predictions | None, chosen_B: NDArray[np.bool_]
) -> float | None:
    if predictions is None or not chosen_B.any() or not np.isfinite(predictions).all():
        return None
    return score(line.config.metric, predictions[chosen_B], evidence.targets_B[chosen_B])
