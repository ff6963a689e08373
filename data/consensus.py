"""What the signals of a group agree on about the times of their keypoints.

Shapes: N signals, K keypoints, M signals of one group.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
_SWEEPS = 10


def agreed_positions(
    positions: Mapping[str, Floats], groups_N: NDArray[np.int64], own: float = 0.25
) -> dict[str, Floats]:
    """Keypoints found in signals of one kind, drawn towards where they lie in the others of their group.

    A signal's keypoints are its shift + the group's distances between keypoints + a remainder of its own, by medians
    (median polish, Tukey 1977); of the remainder the share `own` stays. Its errors are mostly the network's where the
    signals of a group (a session, say) repeat one course. It needs no annotation. groups_N: each signal's group. What
    is not there (NaN) stays so, and the others agree without it.
    Raises ValueError for a share outside [0, 1], no keypoints, and positions or groups that are not one a signal.
    """
    if not 0 <= own <= 1:
        raise ValueError(f"own is a share from 0 to 1, not {own:g}")
    if not positions:
        raise ValueError("there are no keypoints to agree on")
    for name, positions_N in positions.items():
        if positions_N.shape != groups_N.shape or positions_N.ndim != 1:
            raise ValueError(f"{name!r} has the shape {positions_N.shape}; the groups of the signals {groups_N.shape}")
    positions_NK = np.stack(list(positions.values()), axis=1).astype(np.float64)
    for group in np.unique(groups_N):
        of_group_N = groups_N == group
        remainder_MK = _remainder(positions_NK[of_group_N])
        positions_NK[of_group_N] -= (1 - own) * remainder_MK
    return dict(zip(positions, positions_NK.astype(np.float32).T, strict=True))


def _remainder(positions_MK: NDArray[np.float64]) -> NDArray[np.float64]:
    """What neither the signal's shift nor the keypoint's place in the group explains."""
    left_MK = positions_MK.copy()
    for _ in range(_SWEEPS):
        left_MK -= _median(left_MK, 0)
        left_MK -= _median(left_MK, 1)
    return left_MK


def _median(left_MK: NDArray[np.float64], axis: int) -> NDArray[np.float64]:
    """Over what is there; where nothing is, 0."""
    known_MK = ~np.isnan(left_MK)
    if known_MK.all():
        return np.median(left_MK, axis=axis, keepdims=True)
    return np.nanmedian(np.where(known_MK.any(axis, keepdims=True), left_MK, 0.0), axis=axis, keepdims=True)
