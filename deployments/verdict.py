"""What the gate judges by, and what it says.

Shapes: B held-out rows, C features, K classes, T training targets.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from monitoring.comparison import Floats
from monitoring.performance import SHARES, AnyMetric, Predictions

"""Metrics whose gains and losses are a share of the champion's error, not points."""

ENOUGH_ROWS = 100
"""A figure on fewer rows is pooled with those of the latest earlier batches."""


@dataclass(frozen=True)
class Judged:
    """A candidate and the champion on the rows that no training has seen, in order of arrival.

    targets_B: class numbers (−1: a class the models do not know) or values; batches_B: batch numbers.
    relevance_B: how much each row still counts, from 0 to 1 (`learning.blend.relevance`; 1 without a blend), as the
    candidate's evidence says; before_B: as the champion's says, which the newest batch had no part in.
    readings_BC: the sensors at each row, NaN where one is missing, by the names in features; groups_B: the value of
    `data.group`. classes: labels by class number.
    previous_B: the target of the labelled row before, NaN where it is not known; None where rows have no order.
    candidate, champion: probabilities (B, K) over the same classes, or values (B,).
    champion_through: the last batch that the champion learned from; None: there is no champion.
    trained_T: targets that the candidate learned from; the trivial predictor is fitted on them.
    holdouts_learned: how many held-out rows lie in the candidate's memory.
    wealth: what a stake of 1 on the candidate has become in the shadow (`monitoring.wager`), for the appetite proof.
    What could not be measured is None, and fails.
    """

    targets_B: NDArray[Any]
    batches_B: NDArray[np.integer[Any]]
    relevance_B: Floats
    before_B: Floats | None
    readings_BC: NDArray[np.float32]
    features: tuple[str, ...]
    groups_B: NDArray[Any] | None
    group: str | None
    classes: tuple[str, ...] | None
    previous_B: Floats | None
    candidate: Predictions | None
    champion: Predictions | None
    champion_through: int | None
    trained_T: NDArray[Any]
    holdouts_learned: int | None
    latency_ms: float | None
    size_mb: float | None
    parity_error: float | None
    seed: int
    wealth: float = 0.0

    @property
    def new_B(self) -> NDArray[np.bool_]:
        """The rows of batches that the champion has not learned from."""
        return self.batches_B > (-1 if self.champion_through is None else self.champion_through)

    @property
    def latest_B(self) -> NDArray[np.bool_]:
        """The newest batch's rows, with those of the latest before it where they are few."""
        if not self.new_B.any():
            raise ValueError("no row of the new data was held out")
        latest_B = np.zeros(len(self.batches_B), np.bool_)
        for batch in np.unique(self.batches_B)[::-1]:
            if latest_B.sum() >= ENOUGH_ROWS:
                break
            latest_B = latest_B | (self.batches_B == batch)
        return latest_B

    @property
    def both(self) -> tuple[Predictions, Predictions]:
        """The candidate's and the champion's predictions; raises ValueError where one has none."""
        return given(self.candidate, "candidate"), given(self.champion, "champion")


@dataclass(frozen=True)
class Check:
    """One condition of the gate: what was measured, what is allowed, and both in a sentence.

    limit: None for what is only said, and asks nothing.
    """

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


def checked(name: str, value: float, limit: float, passed: bool, text: str) -> Check:
    """A check whose sentence is `name: value text limit`; a value that is not finite fails."""
    finite = math.isfinite(value)
    return Check(name, value if finite else None, limit, passed and finite, f"{name}: {value:.4g} {text} {limit:.4g}")


def at_most(name: str, value: float | None, limit: float, text: str) -> Check:
    """A figure between 0 and a limit; raises ValueError where it was not measured."""
    if value is None:
        raise ValueError("it was not measured")
    return checked(name, value, limit, 0 <= value <= limit, f"{text}; at most")


def said(name: str, value: float | None, text: str) -> Check:
    """A figure that asks nothing."""
    return Check(name, value, None, True, f"{name}: {text}")


def closed(name: str, check: Callable[[], Check]) -> Check:
    """The check, or that it failed because it could not be made."""
    try:
        return check()
    except Exception as error:  # noqa: BLE001 - whatever goes wrong in a check, the candidate does not pass it
        return failed(name, error)


def failed(name: str, error: Exception) -> Check:
    """A check that could not be made, and why."""
    return Check(name, None, None, False, f"{name} could not be checked: {error or type(error).__name__}")


def given(predictions: Predictions | None, whose: str) -> Predictions:
    """The predictions; raises ValueError where there are none."""
    if predictions is None:
        raise ValueError(f"there are no predictions of the {whose}")
    return predictions


def margin(configured: float | None, metric: AnyMetric, points: float, share: float) -> float:
    """What the pipeline allows, or the default: points, or a share for rmse and mae."""
    return configured if configured is not None else share if metric in SHARES else points
