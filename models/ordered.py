"""Keypoints that follow one another: what each one's distribution over time becomes once the others are known of.

Shapes: B signals, L steps, K keypoints.
"""

import torch
from torch import Tensor

LEAST = 1e-30
"""Of a step's chance, so that keypoints which contradict each other altogether still have an answer."""


def ordered_chances(chances_BLK: Tensor) -> Tensor:
    """The chance of each step for each keypoint, given that none lies before the one listed before it.

    Forward and backward sums over a chain that may only go on in time (Rabiner 1989), in O(B · L · K). The quantiles of
    what comes out are in order too. chances_BLK: float64, of each keypoint by itself: at least `LEAST` within a signal,
    0 behind it.
    """
    alone = chances_BLK.unbind(2)
    before = [torch.ones_like(alone[0])]
    for chances_BL in alone[:-1]:
        before.append(_summed(before[-1] * chances_BL))
    behind = [torch.ones_like(alone[0])]
    for chances_BL in reversed(alone[1:]):
        behind.append(_summed((behind[-1] * chances_BL).flip(1)).flip(1))
    both = [b * c * a for b, c, a in zip(before, alone, reversed(behind), strict=True)]
    return torch.stack([_shares(joint_BL) for joint_BL in both], dim=2)


def never_back(places_BK: Tensor) -> Tensor:
    """Places of which none lies before the one listed before it: offsets within a step may turn two around."""
    columns = list(places_BK.unbind(1)[:1])
    for places_B in places_BK.unbind(1)[1:]:
        columns.append(torch.maximum(columns[-1], places_B))
    return torch.stack(columns, dim=1) if columns else places_BK


def _summed(chances_BL: Tensor) -> Tensor:
    """Sums up to each step, of all that there is."""
    return _shares(chances_BL).cumsum(1)


def _shares(chances_BL: Tensor) -> Tensor:
    return chances_BL / chances_BL.sum(1, keepdim=True).clamp_min(1e-300)
