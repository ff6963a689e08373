"""The evidence for the gate: candidate and champion on rows that no training has seen."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from data.samples import Samples
from data.windows import make_samples
from deployments import gate
from deployments.candidates import trained_targets
from deployments.champions import Version, champion_of, version_of
from deployments.line import Line
from deployments.outcomes import Batch, Exported, Judged
from deployments.setting_aside import sound_holdout
from learning.blend import relevance
from monitoring.performance import LOWER_IS_BETTER, Predictions, score


def judge_version(line: Line, batch: Batch, exported: Exported, wealth: float = 0.0) -> Judged:
    """Hold a version against the champion on the hold-outs of all batches up to this one.

    wealth: what the version has shown in the shadow, if it was there.
    """
    candidate, champion = version_of(line, exported.version), champion_of(line)
    holdouts = sound_holdout(line, batch.number)
    samples = make_samples(holdouts, line.schema, line.window_length, candidate.classes, keep_unknown=True)
    evidence = _evidence(line, batch, samples, candidate, champion, exported.parity_error)
    evidence = replace(evidence, wealth=wealth)
    verdict = gate.judge(line.config.gate, line.config.metric, evidence)
    compared_with = None if champion is None else champion.number
    return Judged(verdict, _score_on_new(line, batch, evidence), _champion_holds(line, evidence), compared_with)


def _evidence(
    line: Line, batch: Batch, samples: Samples, candidate: Version, champion: Version | None, parity_error: float
) -> gate.Judged:
    batches_B = samples.batches_B.numpy()
    return gate.Judged(
        targets_B=samples.targets_B.numpy(),
        batches_B=batches_B,
        relevance_B=relevance(batch.number - batches_B, candidate.candidate.evidence.weights()),
        candidate=_predict(candidate, samples),
        champion=None if champion is None else _in_classes_of(candidate, champion, _predict(champion, samples)),
        champion_through=None if champion is None else champion.candidate.trained_through,
        trained_T=trained_targets(line, batch.number, candidate.classes),
        latency_ms=candidate.model.latency_ms(line.window_length),
        parity_error=parity_error,
        seed=line.config.training.seed,
    )


def _predict(version: Version, samples: Samples) -> Predictions | None:
    return version.model.predict_samples(samples) if len(samples) else None


def _in_classes_of(candidate: Version, champion: Version, predictions: Predictions | None) -> Predictions | None:
    """The champion's probabilities by the candidate's class numbers; a class it does not know gets none."""
    if predictions is None or candidate.classes is None or champion.classes is None:
        return predictions
    aligned_BK = np.zeros((len(predictions), len(candidate.classes)), dtype=np.float32)
    for number, label in enumerate(champion.classes):
        if label in candidate.classes:
            aligned_BK[:, candidate.classes.index(label)] = predictions[:, number]
    return aligned_BK


def _score_on_new(line: Line, batch: Batch, evidence: gate.Judged) -> float | None:
    """On the newest batch alone: what it is depends on the candidate, not on when the champion learned."""
    return _score(line, evidence, evidence.candidate, evidence.batches_B == batch.number)


def _champion_holds(line: Line, evidence: gate.Judged) -> bool:
    """Whether the champion itself would still pass the threshold on the new hold-out."""
    found = _score(line, evidence, evidence.champion, evidence.new_B)
    limit = line.config.gate.threshold
    if found is None or limit is None:
        return found is not None
    return found <= limit if line.config.metric in LOWER_IS_BETTER else found >= limit


def _score(
    line: Line, evidence: gate.Judged, predictions: Predictions | None, chosen_B: NDArray[np.bool_]
) -> float | None:
    if predictions is None or not chosen_B.any() or not np.isfinite(predictions).all():
        return None
    return score(line.config.metric, predictions[chosen_B], evidence.targets_B[chosen_B])
