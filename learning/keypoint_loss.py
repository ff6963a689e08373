"""How far the keypoint head is from the truth.

Shapes: B signals, L steps of the keypoint head, K keypoints.
"""

import math

import torch
from torch import Tensor

from models.hierarchical import BEHIND, Representation

NEAR_STEPS = 1.5
"""Offsets are learned in the steps so near to a keypoint: the decoder asks for no others'."""


def keypoint_loss(
    representation: Representation,
    keypoints_BK: Tensor,
    weights_BK: Tensor,
    stride: int,
    deviation: float = 0.0,
    offset_weight: float = 0.5,
) -> Tensor:
    """Cross-entropy over time for each keypoint, and the offsets' mean absolute error; 0 where none is known.

    keypoints_BK: samples; NaN where one is not annotated. weights_BK: how far each annotation is trusted, from 0.
    deviation: samples, of the Gaussian that the target is; 0: the step that holds the keypoint.
    """
    logits_BLK = representation.keypoint_logits_BLK
    weights_BK = torch.where(keypoints_BK.isnan(), 0.0, weights_BK)
    away_BLK = _away(keypoints_BK, logits_BLK.shape[1], stride)
    target_BLK = _target(away_BLK, logits_BLK, deviation / stride)
    losses_BK = -(target_BLK * logits_BLK.log_softmax(1)).sum(1)
    if offset_weight:
        near_BLK = (away_BLK.abs() <= NEAR_STEPS) & (logits_BLK > BEHIND)
        errors_BLK = (representation.offsets_BLK - away_BLK).abs() * near_BLK
        losses_BK = losses_BK + offset_weight * errors_BLK.sum(1) / near_BLK.sum(1).clamp_min(1)
    return (losses_BK * weights_BK).sum() / weights_BK.sum().clamp_min(torch.finfo(weights_BK.dtype).tiny)


def _away(keypoints_BK: Tensor, steps: int, stride: int) -> Tensor:
    """How many steps each keypoint lies behind the middle of each step; an unknown one counts as the first sample."""
    middles_L1 = (torch.arange(steps, device=keypoints_BK.device) * stride + (stride - 1) / 2)[:, None]
    return (keypoints_BK.nan_to_num(0.0)[:, None] - middles_L1) / stride


def _target(away_BLK: Tensor, logits_BLK: Tensor, deviation: float) -> Tensor:
    """A distribution over the steps within the signal."""
    distant_BLK = away_BLK.abs().masked_fill(logits_BLK <= BEHIND, math.inf)
    if deviation == 0:
        return torch.zeros_like(logits_BLK).scatter(1, distant_BLK.argmin(1, keepdim=True), 1.0)
    return (-0.5 * (distant_BLK / deviation).square()).softmax(1)
