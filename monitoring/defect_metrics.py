"""What mistakes cost: precision and recall of every defect, and the confusion priced by a cost matrix.

Shapes: B samples, K labels.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import NDArray

Costs = Mapping[str, Mapping[str, float]]
"""costs[truth][said]: what it costs to say one thing where another is true; what is not named costs 1, and right 0."""


@dataclass(frozen=True)
class DefectScores:
    """Of one label: how often it was there, how often it was said, how much of both agrees; None: nothing to tell."""

    label: str
    found: int
    said: int
    precision: float | None
    recall: float | None


@dataclass(frozen=True)
class DefectReport:
    """confusion_KK: counts by truth and what was said, in the order of labels. cost: of all mistakes together."""

    labels: tuple[str, ...]
    confusion_KK: NDArray[np.int64]
    scores: tuple[DefectScores, ...]
    cost: float
    cost_per_item: float

    def metrics(self) -> dict[str, float]:
        """By name, as a tracker logs them: `recall.crack`, `precision.crack`, `cost_per_item`."""
        named = {"cost_per_item": self.cost_per_item}
        for row in self.scores:
            named |= {
                f"{name}.{row.label}": value
                for name, value in (("precision", row.precision), ("recall", row.recall))
                if value is not None
            }
        return named

    def to_json(self) -> dict[str, Any]:
        """As plain JSON."""
        return {
            "labels": list(self.labels),
            "confusion": self.confusion_KK.tolist(),
            "cost": self.cost,
            "cost_per_item": self.cost_per_item,
        }


def report_defects(truths: Sequence[str], said: Sequence[str], costs: Costs | None = None) -> DefectReport:
    """Hold what was said against what was true, item by item.

    Raises ValueError for lists of different or no length, and for costs of a label that does not occur, below 0, or not
    finite.
    """
    if len(truths) != len(said) or len(truths) == 0:
        raise ValueError(f"{len(truths)} truths and {len(said)} guesses cannot be compared")
    known: set[str] = {*map(str, truths), *map(str, said), *(costs or {})}
    labels = tuple(sorted(known))
    numbers = {label: number for number, label in enumerate(labels)}
    confusion_KK = np.zeros((len(labels), len(labels)), dtype=np.int64)
    np.add.at(confusion_KK, ([numbers[str(t)] for t in truths], [numbers[str(s)] for s in said]), 1)
    cost = float((confusion_KK * _prices(labels, costs or {})).sum())
    scores = tuple(_scores(label, confusion_KK, number) for number, label in enumerate(labels))
    return DefectReport(labels, confusion_KK, scores, cost, cost / len(truths))


def _prices(labels: Sequence[str], costs: Costs) -> NDArray[np.float64]:
    prices_KK = 1.0 - np.eye(len(labels))
    for truth, row in costs.items():
        for label, price in row.items():
            if label not in labels or not (isinstance(price, Real) and 0 <= price < math.inf):
                raise ValueError(f"costs.{truth}.{label}: {price!r} is no cost of one of {', '.join(labels)}")
            prices_KK[labels.index(truth), labels.index(label)] = price
    return prices_KK


def _scores(label: str, confusion_KK: NDArray[np.int64], number: int) -> DefectScores:
    right, found, said = (
        int(n) for n in (confusion_KK[number, number], confusion_KK[number].sum(), confusion_KK[:, number].sum())
    )
    return DefectScores(label, found, said, right / said if said else None, right / found if found else None)
