"""A candidate against the champion on the same held-out rows.

Shapes: B held-out rows.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deployments.corroboration import CORROBORATION, corroborate
from deployments.pipeline import GateConfig
from deployments.verdict import Check, Judged, checked, margin
from monitoring.comparison import FEWEST_BLOCKS, Floats, count_blocks, gain_bound, weighted_score
from monitoring.performance import Metric, gain, row_losses
from monitoring.reliability import calibration_error

REGRESSION_POINTS, REGRESSION_SHARE = 0.05, 0.1
FORGETTING_POINTS, FORGETTING_SHARE = 0.02, 0.05
"""What a candidate may lose against the champion where the pipeline does not say, in points or as a share."""

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

    The champion's evidence, in which no new batch had a part, says how much the other rows count.
    """
    if evidence.before_B is None:
        raise ValueError("how much earlier rows counted for the champion is not known")
    through = -1 if evidence.champion_through is None else evidence.champion_through
    forgetting = margin(config.max_forgetting, metric, FORGETTING_POINTS, FORGETTING_SHARE)
    regression = margin(config.max_regression, metric, REGRESSION_POINTS, REGRESSION_SHARE)
    compared = _Rows(config, metric, evidence, evidence.before_B)
    found = corroborate(compared, through, forgetting, regression)
    new = ", ".join(str(batch) for batch in compared.batches if batch > through)
    text = (
        f"loss in {metric} against the champion on all held-out rows but one new batch's, by relevance before; one "
        f"batch may be wrong: more waits for a second that bears it out (new: {new or 'none'}); at most"
    )
    return checked(CORROBORATION, found.value, found.limit, found.passed, text)


@dataclass(frozen=True)
class _Rows:
    """Candidate and champion on held-out rows, as `Compared` has it; before_B: how much each row counts."""

    config: GateConfig
    metric: Metric
    evidence: Judged
    before_B: Floats

    @property
    def batches(self) -> list[int]:
        return np.unique(self.evidence.batches_B).tolist()

    def loss_without(self, batch: int) -> float:
        return _counted_loss(self.metric, self.evidence, self.evidence.batches_B != batch, self.before_B)

    def gain_on(self, batch: int) -> float:
        batches_B = self.evidence.batches_B
        return _gain(self.metric, self.evidence, batches_B == batch, np.ones(len(batches_B)))

    def gains_surely_on(self, batches: Sequence[int]) -> bool:
        rows_B = np.isin(self.evidence.batches_B, batches)
        if count_blocks(self.evidence.batches_B[rows_B]) < FEWEST_BLOCKS:
            return False
        candidate, champion = (predictions[rows_B] for predictions in self.evidence.both)
        bound = gain_bound(
            self.metric,
            candidate,
            champion,
            self.evidence.targets_B[rows_B],
            self.evidence.batches_B[rows_B],
            np.ones(int(rows_B.sum())),
            confidence=self.config.confidence,
            resamples=self.config.resamples,
            seed=self.evidence.seed,
        )
        return bound > 0

    def champion_lead(self, batch: int, other: int) -> float:
        return gain(self.metric, self._champion_on(batch), self._champion_on(other))

    def _champion_on(self, batch: int) -> float:
        rows_B = self.evidence.batches_B == batch
        targets_B = self.evidence.targets_B[rows_B]
        return weighted_score(self.metric, self.evidence.both[1][rows_B], targets_B, np.ones(len(targets_B)))


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
