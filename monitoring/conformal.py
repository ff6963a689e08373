"""Thresholds that a stated share of fresh scores does not exceed, by split conformal prediction."""

import math

import numpy as np
from numpy.typing import NDArray


def conformal_threshold(scores_N: NDArray[np.floating], share: float) -> float:
    """The score that a fresh one stays at or below with at least this probability, if it is exchangeable with these.

    It is the ⌈(n + 1) · share⌉-th smallest of n (Vovk, Gammerman & Shafer 2005; Lei et al. 2018), so that the
    probability is at most 1 / (n + 1) more than `share` where no scores are equal, whatever their distribution. It
    holds over the draw of these scores too: for given ones the realised share varies around it, by about
    √(share · (1 − share) / n).
    Raises ValueError for a share outside (0, 1), scores that are not finite, and too few of them.
    """
    if not 0 < share < 1:
        raise ValueError(f"a share lies between 0 and 1, not at {share:g}")
    if not np.isfinite(scores_N).all():
        raise ValueError(f"{int((~np.isfinite(scores_N)).sum())} scores to calibrate on are not finite")
    rank = math.ceil(round((len(scores_N) + 1) * share, 9))
    if rank > len(scores_N):
        needed = math.ceil(round(share / (1 - share), 9))
        raise ValueError(f"a share of {share:g} is calibrated on {needed} signals or more, got {len(scores_N)}")
    return float(np.sort(scores_N)[rank - 1])
