"""A candidate against the champion on the same held-out rows.

Shapes: B held-out rows.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deployments.pipeline import GateConfig
from deployments.verdict import Check, Judged, checked, margin
from monitoring.comparison import FEWEST_BLOCKS, Floats, count_blocks, gain_bound, weighted_score
from monitoring.performance import Metric, gain, row_losses
from monitoring.reliability import calibration_error

REGRESSION_POINTS, REGRESSION_SHARE = 0.05, 0.1
FORGETTING_POINTS, FORGETTING_SHARE = 0.02, 0.05
"""What a candidate may lose against the champion where the pipeline does not say, in points or as a share."""

CORROBORATION = "corroboration"
ALONE_SHARE = 0.5
"""Of what may be forgotten, so much may be lost for the sake of the only new batch."""

CALIBRATION_POINTS, CALIBRATION_DEVIATIONS = 0.1, 0.25
"""By how much its calibration error may exceed the champion's: of classes in points, of values in their deviations."""

UNSEEN = 3
"""So many more rows like its worst may come as often as the next in twenty (the rule of three; Hanley 1983)."""


def check_not_worse(metric: Metric, evidence: Judged) -> Check:
    """No loss over all held-out rows, by relevance."""
    everything_B = np.arange(len(evidence.targets_B))
    value = _weighted_gain(metric, evidence, everything_B)
    text = f"gain in {metric} over the champion on all {len(everything_B)} held-out rows, by relevance; at least"
    return checked("not_worse", value, 0.0, value >= 0, text)


def check_regression(config: GateConfig, metric: Metric, evidence: Judged) -> Check:
    """The gain over all held-out rows that is exceeded with the pipeline's confidence."""
    limit = margin(config.max_regression, metric, REGRESSION_POINTS, REGRESSION_SHARE)
    value = gain_bound(
        metric,
        *evidence.both,
        evidence.targets_B,
        evidence.batches_B,
        evidence.relevance_B,
        confidence=config.confidence,
        resamples=config.resamples,
        seed=evidence.seed,
    )
    text = f"gain in {metric} over the champion that is exceeded with {config.confidence:.0%} confidence; at least"
    return checked("regression", value, -limit, value >= -limit, text)


def check_forgetting(config: GateConfig, metric: Metric, evidence: Judged) -> Check:
    """The loss on the rows of every batch before the newest, times how much they still count on average."""
    earlier_B = evidence.batches_B < evidence.batches_B.max(initial=0)
    value = _counted_loss(metric, evidence, earlier_B, evidence.relevance_B)
    rows = int(earlier_B.sum())
    text = f"loss in {metric} against the champion on {rows} held-out rows of earlier batches, by relevance; at most"
    limit = margin(config.max_forgetting, metric, FORGETTING_POINTS, FORGETTING_SHARE)
    return checked("forgetting", value, limit, value <= limit, text)


def check_corroboration(config: GateConfig, metric: Metric, evidence: Judged) -> Check:
    """The clear loss on everything but one new batch, unless the other new ones bear that batch out.

    In one batch a change of the target's meaning looks like wrong labels or a sensor's fault. New are those that the
    champion has not learned from, and its evidence, in which they had no part, says how much the other rows count.
    """
    if evidence.before_B is None:
        raise ValueError("how much earlier rows counted for the champion is not known")
    new = np.unique(evidence.batches_B[evidence.new_B]).tolist()
    newest = [int(evidence.batches_B.max(initial=0))]
    batches_B, before_B = evidence.batches_B, evidence.before_B
    value = max(_counted_loss(metric, evidence, batches_B != one, before_B) for one in new or newest)
    limit = _may_be_lost(config, metric, evidence, new)
    passed = value <= limit or _borne_out(config, metric, evidence, new)
    text = (
        f"loss in {metric} against the champion on all held-out rows but one new batch's, by relevance before; one "
        f"batch may be wrong: more waits for a second that bears it out (new: {', '.join(map(str, new)) or 'none'}); "
        f"at most"
    )
    return checked(CORROBORATION, value, limit, passed, text)


def _may_be_lost(config: GateConfig, metric: Metric, evidence: Judged, new: Sequence[int]) -> float:
    """What learning the only new batch may cost elsewhere: nothing where it contradicts all others, or is not alone."""
    if len(new) > 1 or _contradicts(config, metric, evidence, int(evidence.batches_B.max())):
        return 0.0
    return ALONE_SHARE * margin(config.max_forgetting, metric, FORGETTING_POINTS, FORGETTING_SHARE)


def _contradicts(config: GateConfig, metric: Metric, evidence: Judged, batch: int) -> bool:
    """Whether the champion does worse on a batch than on any other, by more than a candidate may regress."""
    limit = margin(config.max_regression, metric, REGRESSION_POINTS, REGRESSION_SHARE)
    scores = {one: _champion_on(metric, evidence, one) for one in np.unique(evidence.batches_B).tolist()}
    return all(gain(metric, scores[batch], scores[one]) < -limit for one in scores if one != batch)


def _champion_on(metric: Metric, evidence: Judged, batch: int) -> float:
    rows_B = evidence.batches_B == batch
    return weighted_score(metric, evidence.both[1][rows_B], evidence.targets_B[rows_B], np.ones(int(rows_B.sum())))


def _borne_out(config: GateConfig, metric: Metric, evidence: Judged, new: Sequence[int]) -> bool:
    """Whether the candidate gains on some of the newest batches but its best, together, with the pipeline's confidence.

    A change that lasts holds in every batch since it began; those new ones that came before it need not gain.
    """
    return any(_gains_without_best(config, metric, evidence, new[first:]) for first in range(len(new) - 1))


def _gains_without_best(config: GateConfig, metric: Metric, evidence: Judged, stretch: Sequence[int]) -> bool:
    """Whether it gains so on a stretch of batches; where too few rows are left to tell, it does not."""
    alike_B = np.ones(len(evidence.batches_B))
    gains = [_gain(metric, evidence, evidence.batches_B == one, alike_B) for one in stretch]
    best = stretch[int(np.argmax(gains))]
    rest_B = np.isin(evidence.batches_B, stretch) & (evidence.batches_B != best)
    if count_blocks(evidence.batches_B[rest_B]) < FEWEST_BLOCKS:
        return False
    candidate, champion = (predictions[rest_B] for predictions in evidence.both)
    bound = gain_bound(
        metric,
        candidate,
        champion,
        evidence.targets_B[rest_B],
        evidence.batches_B[rest_B],
        alike_B[rest_B],
        confidence=config.confidence,
        resamples=config.resamples,
        seed=evidence.seed,
    )
    return bound > 0


def check_worst_rows(config: GateConfig, metric: Metric, evidence: Judged) -> Check:
    """The gain if three more rows came like the one where it loses most, and three like the one where it gains most.

    What happens to one row in a hundred a hold-out hardly shows; a mean that one such row would turn is no gain.
    """
    candidate, champion = (row_losses(metric, p, evidence.targets_B) for p in evidence.both)
    excess_B = (candidate - champion) * evidence.relevance_B
    more = [int(excess_B.argmax())] * UNSEEN + [int(excess_B.argmin())] * UNSEEN
    value = _weighted_gain(metric, evidence, np.concatenate([np.arange(len(excess_B)), more]))
    limit = margin(config.max_regression, metric, REGRESSION_POINTS, REGRESSION_SHARE)
    text = f"gain in {metric} over the champion if {UNSEEN} more rows came like the worst of each; at least"
    return checked("worst_rows", value, -limit, value >= -limit, text)


def check_calibration(config: GateConfig, evidence: Judged) -> Check:
    """The calibration error over all held-out rows, by relevance, against the pipeline's limit or the champion's."""
    candidate, champion = evidence.both
    value = calibration_error(candidate, evidence.targets_B, evidence.relevance_B)
    if config.max_calibration_error is not None:
        limit, what = config.max_calibration_error, ""
    else:
        more = CALIBRATION_POINTS if candidate.ndim == 2 else CALIBRATION_DEVIATIONS
        limit = calibration_error(champion, evidence.targets_B, evidence.relevance_B) + more
        what = f" the champion's and {more:g} more,"
    unit = "" if candidate.ndim == 2 else " in deviations of the targets"
    return checked("calibration", value, limit, value <= limit, f"calibration error{unit}; at most{what}")


def _counted_loss(metric: Metric, evidence: Judged, rows_B: NDArray[np.bool_], relevance_B: Floats) -> float:
    """The loss on some rows by relevance, times how much they count on average."""
    if not rows_B.any():
        raise ValueError("no held-out rows are kept from earlier batches")
    counted = float(relevance_B[rows_B].mean())
    return -counted * _gain(metric, evidence, rows_B, relevance_B) if counted > 0 else 0.0


def _weighted_gain(metric: Metric, evidence: Judged, rows: NDArray[np.int64]) -> float:
    return _gain(metric, evidence, rows, evidence.relevance_B)


def _gain(metric: Metric, evidence: Judged, rows: NDArray[Any], relevance_B: Floats) -> float:
    targets_B, weights_B = evidence.targets_B[rows], relevance_B[rows]
    new, old = (weighted_score(metric, p[rows], targets_B, weights_B) for p in evidence.both)
    return gain(metric, new, old)
