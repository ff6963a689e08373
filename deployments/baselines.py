"""What a candidate must beat by itself: the pipeline's threshold, and a predictor that has learned nothing."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from deployments.pipeline import GateConfig
from deployments.verdict import Check, Judged, checked, given, said
from monitoring.performance import LOWER_IS_BETTER, Metric, Predictions, gain, score


def check_threshold(config: GateConfig, metric: Metric, evidence: Judged) -> Check:
    """The candidate's score on the latest held-out rows against the pipeline's threshold."""
    assert config.threshold is not None, "without a threshold there is nothing to check"
    value = _score(metric, given(evidence.candidate, "candidate"), evidence, evidence.latest_B)
    passed = value <= config.threshold if metric in LOWER_IS_BETTER else value >= config.threshold
    return checked("threshold", value, config.threshold, passed, f"{metric} on {_rows(evidence.latest_B)}; needed is")


def check_baseline(config: GateConfig, metric: Metric, evidence: Judged) -> Check:
    """The candidate's score against that of a predictor without a network.

    majority: one constant for all rows, the best for the training targets; on the latest rows, or on all where the
    latest are all alike. persistence: the target of the labelled row before, on the newest batch.
    """
    candidate = given(evidence.candidate, "candidate")
    if config.baseline == "persistence":
        chosen_B, limit = _no_change(metric, evidence)
        kind = "predicting no change"
    else:
        chosen_B, limit = _constant(metric, evidence, candidate)
        kind = "the best constant prediction"
    value = _score(metric, candidate, evidence, chosen_B)
    text = f"{metric} on {_rows(chosen_B)}; it must beat {kind}, which has"
    return checked("baseline", value, limit, gain(metric, value, limit) > 0, text)


def say_no_change(config: GateConfig, metric: Metric, evidence: Judged) -> list[Check]:
    """What predicting no change would score on the same rows, where that is not asked for; nothing where unknown."""
    if config.baseline == "persistence" or evidence.candidate is None:
        return []
    try:
        chosen_B, found = _no_change(metric, evidence)
        value = _score(metric, evidence.candidate, evidence, chosen_B)
    except ValueError:
        return []
    text = f"predicting no change has {metric} {found:.4g} on {_rows(chosen_B)}, the candidate {value:.4g}; not asked"
    return [said("no_change", found, text)]


def _constant(metric: Metric, evidence: Judged, candidate: Predictions) -> tuple[NDArray[np.bool_], float]:
    trained_T = evidence.trained_T
    if len(trained_T) == 0:
        raise ValueError("there are no training targets for the trivial predictor")
    if candidate.ndim == 1:
        constant: Any = np.median(trained_T) if metric == "mae" else np.mean(trained_T)
    else:
        constant = np.bincount(trained_T.astype(np.int64), minlength=candidate.shape[1]) / len(trained_T)
    everywhere = np.broadcast_to(constant, candidate.shape)
    perfect = 0.0 if metric in LOWER_IS_BETTER else 1.0
    for chosen_B in (evidence.latest_B, np.ones(len(candidate), np.bool_)):
        limit = _score(metric, everywhere, evidence, chosen_B)
        if limit != perfect:
            return chosen_B, limit
    raise ValueError(f"all {len(candidate)} held-out rows are alike, so nothing shows what the candidate has learned")


def _no_change(metric: Metric, evidence: Judged) -> tuple[NDArray[np.bool_], float]:
    """The rows of the newest batch whose labelled row before is known, and the score of repeating its target."""
    if evidence.previous_B is None or metric == "log_loss":
        raise ValueError("no change can be predicted only for rows in order of time, and not as a probability")
    chosen_B = ~np.isnan(evidence.previous_B)
    if not chosen_B.any():
        raise ValueError("no held-out row has a labelled row before it")
    return chosen_B, _score(metric, _as_predictions(evidence), evidence, chosen_B)


def _as_predictions(evidence: Judged) -> Predictions:
    assert evidence.previous_B is not None, "the caller asked"
    if given(evidence.candidate, "candidate").ndim == 1:
        return evidence.previous_B.astype(np.float32)
    numbers_B = np.nan_to_num(evidence.previous_B, nan=-1).astype(np.int64)
    classes = int(max(numbers_B.max(), evidence.targets_B.max())) + 1
    return np.eye(classes + 1, dtype=np.float32)[numbers_B]  # a class that is not known takes the last column


def _score(metric: Metric, predictions: Predictions, evidence: Judged, chosen_B: NDArray[np.bool_]) -> float:
    return score(metric, predictions[chosen_B], evidence.targets_B[chosen_B])


def _rows(chosen_B: NDArray[np.bool_]) -> str:
    return f"{int(chosen_B.sum())} held-out rows"
