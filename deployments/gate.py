"""The gate: what a candidate must show on held-out rows before it goes live. It fails closed.

Shapes: B held-out rows, K classes, T training targets.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deployments.pipeline import GateConfig
from monitoring.comparison import Floats, gain_bound, weighted_score
from monitoring.performance import LOWER_IS_BETTER, Metric, Predictions, gain, score
from monitoring.wager import ENOUGH

REGRESSION_POINTS, REGRESSION_SHARE = 0.05, 0.1
FORGETTING_POINTS, FORGETTING_SHARE = 0.02, 0.05
"""What a candidate may lose against the champion where the pipeline does not say, in points or as a share."""

SHARES = ("rmse", "mae")

ENOUGH_ROWS = 100
"""A score on fewer rows is pooled with those of the latest earlier batches."""


@dataclass(frozen=True)
class Judged:
    """A candidate and the champion on the rows that no training has seen, in order of arrival.

    targets_B: class numbers (−1: a class the models do not know) or values; batches_B: batch numbers.
    relevance_B: how much each row still counts, from 0 to 1 (`learning.blend.relevance`; 1 without a blend).
    candidate, champion: probabilities (B, K) over the same classes, or values (B,).
    champion_through: the last batch that the champion learned from; None: there is no champion.
    trained_T: targets that the candidate learned from; the trivial predictor is fitted on them.
    wealth: what a stake of 1 on the candidate has become in the shadow (`monitoring.wager`), for the appetite proof.
    What could not be measured is None, and fails.
    """

    targets_B: NDArray[Any]
    batches_B: NDArray[np.integer[Any]]
    relevance_B: Floats
    candidate: Predictions | None
    champion: Predictions | None
    champion_through: int | None
    trained_T: NDArray[Any]
    latency_ms: float | None
    parity_error: float | None
    seed: int
    wealth: float = 0.0

    @property
    def new_B(self) -> NDArray[np.bool_]:
        """The rows of batches that the champion has not learned from."""
        return self.batches_B > (-1 if self.champion_through is None else self.champion_through)


@dataclass(frozen=True)
class Check:
    """One condition of the gate: what was measured, what is allowed, and both in a sentence."""

    name: str
    value: float | None
    limit: float | None
    passed: bool
    text: str


@dataclass(frozen=True)
class Verdict:
    """All checks; the candidate passed if every one did."""

    passed: bool
    checks: tuple[Check, ...]

    @property
    def reason(self) -> str:
        """The sentences of the checks that failed, or that all passed."""
        failed = [c.text for c in self.checks if not c.passed]
        return "; ".join(failed) if failed else "all checks passed"


def judge(config: GateConfig, metric: Metric, evidence: Judged) -> Verdict:
    """Hold a candidate against the threshold, the champion, earlier batches, the latency and parity limits.

    A check that cannot be made (a metric that does not fit, no held-out rows, a prediction that is not a number, an
    exception) fails with its reason. Without a champion only threshold, latency and parity are checked.
    """
    checks: dict[str, Callable[[], Check]] = {"threshold": lambda: _threshold(config, metric, evidence)}
    if evidence.champion_through is not None:
        checks["not_worse"] = lambda: _not_worse(metric, evidence)
        checks["regression"] = lambda: _regression(config, metric, evidence)
        checks["forgetting"] = lambda: _forgetting(config, metric, evidence)
        if config.appetite == "proof":
            checks["proof"] = lambda: _proof(evidence)
    checks["latency"] = lambda: _at_most("latency", evidence.latency_ms, config.max_latency_ms, "ms for one sample")
    checks["parity"] = lambda: _at_most(
        "parity", evidence.parity_error, config.max_parity_error, "largest difference of the exported file to torch"
    )
    made = tuple(_closed(name, check) for name, check in checks.items())
    return Verdict(all(c.passed for c in made), made)


def _closed(name: str, check: Callable[[], Check]) -> Check:
    try:
        return check()
    except Exception as error:  # noqa: BLE001 - whatever goes wrong in a check, the candidate does not pass it
        return Check(name, None, None, False, f"{name} could not be checked: {error or type(error).__name__}")


def _threshold(config: GateConfig, metric: Metric, evidence: Judged) -> Check:
    candidate, chosen_B = _given(evidence.candidate, "candidate"), _threshold_rows(evidence)
    value = score(metric, candidate[chosen_B], evidence.targets_B[chosen_B])
    if config.threshold is not None:
        passed = value <= config.threshold if metric in LOWER_IS_BETTER else value >= config.threshold
        return _check("threshold", value, config.threshold, passed, f"{metric} on {_rows(chosen_B)}; needed is")
    limit = _trivial_score(metric, evidence, chosen_B)
    if limit == _perfect(metric):
        chosen_B = np.ones_like(chosen_B)
        value, limit = score(metric, candidate, evidence.targets_B), _trivial_score(metric, evidence, chosen_B)
    if limit == _perfect(metric):
        raise ValueError(
            f"all {len(chosen_B)} held-out rows are alike, so nothing shows what the candidate has learned"
        )
    text = f"{metric} on {_rows(chosen_B)}; it must beat the trivial predictor's"
    return _check("threshold", value, limit, gain(metric, value, limit) > 0, text)


def _threshold_rows(evidence: Judged) -> NDArray[np.bool_]:
    """The newest batch's rows, with those of the latest before it where they are few."""
    if not evidence.new_B.any():
        raise ValueError("no row of the new data was held out")
    chosen_B = np.zeros(len(evidence.batches_B), np.bool_)
    for batch in np.unique(evidence.batches_B)[::-1]:
        if chosen_B.sum() >= ENOUGH_ROWS:
            break
        chosen_B = chosen_B | (evidence.batches_B == batch)
    return chosen_B


def _trivial_score(metric: Metric, evidence: Judged, chosen_B: NDArray[np.bool_]) -> float:
    """The score of one constant prediction, the best for the training targets."""
    trained_T = evidence.trained_T
    if len(trained_T) == 0:
        raise ValueError("there are no training targets for the trivial predictor")
    candidate = _given(evidence.candidate, "candidate")
    if candidate.ndim == 1:
        constant = np.median(trained_T) if metric == "mae" else np.mean(trained_T)
    else:
        constant = np.bincount(trained_T.astype(np.int64), minlength=candidate.shape[1]) / len(trained_T)
    rows = int(chosen_B.sum())
    return score(metric, np.broadcast_to(constant, (rows, *candidate.shape[1:])), evidence.targets_B[chosen_B])


def _not_worse(metric: Metric, evidence: Judged) -> Check:
    value = _weighted_gain(metric, evidence, np.ones(len(evidence.targets_B), np.bool_))
    text = f"gain in {metric} over the champion on all {len(evidence.targets_B)} held-out rows, by relevance; at least"
    return _check("not_worse", value, 0.0, value >= 0, text)


def _regression(config: GateConfig, metric: Metric, evidence: Judged) -> Check:
    margin = _margin(config.max_regression, metric, REGRESSION_POINTS, REGRESSION_SHARE)
    value = gain_bound(
        metric,
        _given(evidence.candidate, "candidate"),
        _given(evidence.champion, "champion"),
        evidence.targets_B,
        evidence.batches_B,
        evidence.relevance_B,
        confidence=config.confidence,
        resamples=config.resamples,
        seed=evidence.seed,
    )
    text = f"gain in {metric} over the champion that is exceeded with {config.confidence:.0%} confidence; at least"
    return _check("regression", value, -margin, value >= -margin, text)


def _forgetting(config: GateConfig, metric: Metric, evidence: Judged) -> Check:
    """The loss on the rows of every batch before the newest, times how much they still count on average."""
    earlier_B = evidence.batches_B < evidence.batches_B.max(initial=0)
    if not earlier_B.any():
        raise ValueError("no held-out rows are kept from earlier batches")
    counted = float(evidence.relevance_B[earlier_B].mean())
    value = -counted * _weighted_gain(metric, evidence, earlier_B) if counted > 0 else 0.0
    text = f"loss in {metric} against the champion on {_rows(earlier_B)} of earlier batches, by relevance; at most"
    limit = _margin(config.max_forgetting, metric, FORGETTING_POINTS, FORGETTING_SHARE)
    return _check("forgetting", value, limit, value <= limit, text)


def _proof(evidence: Judged) -> Check:
    text = "is what a stake of 1 on the candidate has become on batches before it learned from them; needed is"
    return _check("proof", evidence.wealth, ENOUGH, evidence.wealth >= ENOUGH, text)


def _margin(given: float | None, metric: Metric, points: float, share: float) -> float:
    return given if given is not None else share if metric in SHARES else points


def _weighted_gain(metric: Metric, evidence: Judged, chosen_B: NDArray[np.bool_]) -> float:
    candidate, champion = _given(evidence.candidate, "candidate"), _given(evidence.champion, "champion")
    targets_B, weights_B = evidence.targets_B[chosen_B], evidence.relevance_B[chosen_B]
    new, old = (weighted_score(metric, p[chosen_B], targets_B, weights_B) for p in (candidate, champion))
    return gain(metric, new, old)


def _at_most(name: str, value: float | None, limit: float, text: str) -> Check:
    if value is None:
        raise ValueError("it was not measured")
    return _check(name, value, limit, 0 <= value <= limit, f"{text}; at most")


def _check(name: str, value: float, limit: float, passed: bool, text: str) -> Check:
    finite = math.isfinite(value)
    return Check(name, value if finite else None, limit, passed and finite, f"{name}: {value:.4g} {text} {limit:.4g}")


def _given(predictions: Predictions | None, whose: str) -> Predictions:
    if predictions is None:
        raise ValueError(f"there are no predictions of the {whose}")
    return predictions


def _perfect(metric: Metric) -> float:
    return 0.0 if metric in LOWER_IS_BETTER else 1.0


def _rows(chosen_B: NDArray[np.bool_]) -> str:
    return f"{int(chosen_B.sum())} held-out rows"
