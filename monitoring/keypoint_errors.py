"""How far predicted keypoints lie from where they were annotated.

Shapes: N signals, K keypoints.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class KeypointScore:
    """The errors of one keypoint over the signals where it is annotated, in samples; within: the share within ±k."""

    count: int
    mae: float
    median: float
    p90: float
    within: float


def keypoint_errors(predicted_NK: NDArray[np.floating], keypoints: Mapping[str, NDArray[np.floating]]) -> Floats:
    """Absolute errors in samples (N, K), K in the order of `keypoints`; NaN where nothing was annotated.

    Raises ValueError for predictions of another shape, or that are not finite.
    """
    annotated = [positions_N.astype(np.float64) for positions_N in keypoints.values()]
    told_NK = np.stack(annotated, 1) if annotated else np.empty((len(predicted_NK), 0))
    if predicted_NK.shape != told_NK.shape:
        raise ValueError(f"predicted are {predicted_NK.shape} keypoints, annotated {told_NK.shape}")
    if not np.isfinite(predicted_NK).all():
        raise ValueError(f"{int((~np.isfinite(predicted_NK)).sum())} predicted keypoints are not finite")
    return np.abs(predicted_NK.astype(np.float64) - told_NK)


def score_keypoints(errors_NK: Floats, names: tuple[str, ...], within: float) -> dict[str, KeypointScore]:
    """A score for each keypoint that is annotated on any signal; within: k, in samples."""
    found: dict[str, KeypointScore] = {}
    for name, errors_N in zip(names, errors_NK.T, strict=True):
        known = errors_N[~np.isnan(errors_N)]
        if len(known):
            median, p90 = (float(q) for q in np.quantile(known, [0.5, 0.9]))
            found[name] = KeypointScore(len(known), float(known.mean()), median, p90, float((known <= within).mean()))
    return found
