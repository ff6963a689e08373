"""How far predicted keypoints lie from where they were annotated.

Shapes: N signals, K keypoints, U units that are drawn again, R draws.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


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


def drawn_quantiles(
    errors_N: Floats, draws_RU: NDArray[np.int64], units_N: NDArray[np.integer], share: float
) -> Floats:
    """The quantile of a keypoint's errors in each of R draws (R,), as `np.quantile` has it; NaN where none is known.

    draws_RU: how often each unit was drawn. units_N: the unit of each signal, which has its error as often.
    """
    known_N = np.flatnonzero(~np.isnan(errors_N))
    order_N = known_N[np.argsort(errors_N[known_N])]
    ranked_N, units_N = errors_N[order_N], units_N[order_N]
    found_R = np.full(len(draws_RU), np.nan)
    for r, draw_U in enumerate(draws_RU):
        reached_N = draw_U[units_N].cumsum()
        if not len(reached_N) or reached_N[-1] == 0:
            continue
        place = share * (reached_N[-1] - 1)
        below, above = ranked_N[np.searchsorted(reached_N, [np.floor(place), np.ceil(place)], side="right")]
        found_R[r] = below + (place - np.floor(place)) * (above - below)
    return found_R
