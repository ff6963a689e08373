"""Scores that are too good: held-out rows that were learned from, and sensors that are the target itself.

Shapes: B samples, C features.
"""

from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data.samples import Samples
from deployments.verdict import Check, Judged, at_most
from monitoring.comparison import Floats

FEWEST_ROWS = 50
FEWEST_OF_A_CLASS = 5
COPY_ERROR = 0.01
"""A line through a copy of the values misses none by more, in their deviations."""


def batches_of_twins(memory: Samples, held_out: Samples) -> list[int]:
    """The batches of which a remembered sample reads like a held-out row, whether or not it is one."""
    held = _keys(held_out)
    return sorted({int(np.frombuffer(key, np.float32, 1)[0]) for key in _each_key(memory) if key in held})


def count_learned(memory: Samples, trained: Samples, held_out: Samples) -> int:
    """How many of the remembered samples are held-out rows of their batch and none that it was given to learn from.

    trained: the training samples of `batches_of_twins`. Exact, also where rows occur twice: what was rightly learned
    from lies among the training rows of its batch.
    """
    leaked = _keys(held_out) - _keys(trained)
    return sum(key in leaked for key in _each_key(memory))


def check_holdouts_unseen(evidence: Judged) -> Check:
    """No held-out row may lie in what the candidate learned from: such rows say nothing about new ones."""
    learned = None if evidence.holdouts_learned is None else float(evidence.holdouts_learned)
    return at_most("holdouts_unseen", learned, 0, "held-out rows lie in the candidate's memory")


def check_copies(evidence: Judged) -> Check:
    """No sensor may be the target itself, written down under another name or after the fact."""
    latest_B = evidence.latest_B
    readings_BC, targets_B = evidence.readings_BC[latest_B], evidence.targets_B[latest_B]
    same = _same_value if evidence.classes is None else _same_class
    names = [
        n for n, column_B in zip(evidence.features, readings_BC.T, strict=True) if _is_copy(column_B, targets_B, same)
    ]
    named = f" ({', '.join(names)})" if names else ""
    text = f"sensors copy the target{named}; leave such out of data.features"
    return at_most("copies", float(len(names)), 0, text)


def _keys(samples: Samples) -> set[bytes]:
    return set(_each_key(samples))


def _each_key(samples: Samples) -> list[bytes]:
    """The batch and the readings of each sample's last row; an adopted model's batches, up to 0, are left out."""
    rows_BC = samples.rows_NC[samples.starts_B + samples.length - 1].numpy()
    batches_B = samples.batches_B.numpy()
    chosen_B = batches_B > 0
    keys = np.column_stack([batches_B[chosen_B].astype(np.float32), rows_BC[chosen_B]])
    return [row.tobytes() for row in keys]


def _is_copy(column_B: NDArray[np.float32], targets_B: NDArray[Any], same: Any) -> bool:
    known_B = ~np.isnan(column_B)
    if known_B.sum() < FEWEST_ROWS:
        return False
    return bool(same(column_B[known_B].astype(np.float64), targets_B[known_B]))


def _same_value(column_B: Floats, targets_B: NDArray[Any]) -> bool:
    """Whether a line leads from the reading to the target, without exception."""
    targets_B = targets_B.astype(np.float64)
    if column_B.std() == 0 or targets_B.std() == 0:
        return False
    slope, level = np.polyfit(column_B - column_B.mean(), targets_B, 1)
    missed_B = np.abs(targets_B - level - slope * (column_B - column_B.mean()))
    return float(missed_B.max()) <= COPY_ERROR * float(targets_B.std())


def _same_class(column_B: Floats, targets_B: NDArray[Any]) -> bool:
    """Whether each class has a range of its own, further from the next than any range is wide."""
    classes, counts = np.unique(targets_B, return_counts=True)
    if len(classes) < 2 or counts.min() < FEWEST_OF_A_CLASS:
        return False
    ranges = sorted((float(column_B[targets_B == c].min()), float(column_B[targets_B == c].max())) for c in classes)
    widest = max(high - low for low, high in ranges)
    return all(low - high > widest for (_, high), (low, _) in pairwise(ranges))
