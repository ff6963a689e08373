"""Random variants of signals that keep their keypoints right.

Shapes: B signals, C channels, T samples, K keypoints, N nodes of a warp, G groups. Uses torch's global generator.
"""

import math

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional

from data.config import Config

WANDER_CYCLES = 2.0
"""At most so many cycles of baseline wander over a signal."""


class SignalAugmentation(Config):
    """How much signals may vary; 0 leaves that out. Deviations are those of the normalised signals.

    Stretch and mixing are drawn once for each group (an element), so that its signals go on belonging together.
    """

    stretch: float = Field(default=0.0, ge=0, description="deviation of the logarithm of the speed of the whole signal")
    warp: float = Field(default=0.0, ge=0, description="deviation of the logarithm of the speed at each node")
    nodes: int = Field(default=8, ge=2, description="of a warp and a modulation; between them all is linear")
    shift: float = Field(default=0.0, ge=0, description="samples, at most, to either side")
    mixing: float = Field(default=0.0, ge=0, description="deviation of what one channel takes from another")
    scale: float = Field(default=0.0, ge=0, description="deviation of the logarithm of each channel's amplitude")
    modulation: float = Field(default=0.0, ge=0, description="deviation of each channel's gain, which moves over time")
    flip: float = Field(default=0.0, ge=0, le=1, description="chance that a channel changes its sign")
    swap: float = Field(default=0.0, ge=0, le=1, description="chance that the channels change places")
    silence: float = Field(default=0.0, ge=0, le=1, description="chance that one of several channels is zero")
    wander: float = Field(default=0.0, ge=0, description="deviation of a slow wave's amplitude")
    noise: float = Field(default=0.0, ge=0, description="deviation of white noise, at most")


def augment_signals(
    signals_BCT: Tensor, lengths_B: Tensor, keypoints_BK: Tensor, groups_B: Tensor, config: SignalAugmentation
) -> tuple[Tensor, Tensor]:
    """Varied signals and where their keypoints (samples; NaN: not known) are now; NaN for those that left the signal.

    signals_BCT: in units of a deviation. groups_B: int64, what each signal belongs to.
    """
    if config.stretch or config.warp or config.shift:
        signals_BCT, keypoints_BK = _move(signals_BCT, lengths_B, keypoints_BK, groups_B, config)
    return _disturb(_mix(signals_BCT, groups_B, config), config), keypoints_BK


def _move(
    signals_BCT: Tensor, lengths_B: Tensor, keypoints_BK: Tensor, groups_B: Tensor, config: SignalAugmentation
) -> tuple[Tensor, Tensor]:
    count, _, steps = signals_BCT.shape
    nodes_BN = config.warp * torch.randn(count, config.nodes) + config.stretch * _of_group(groups_B, 1)
    speed_BT = torch.nn.functional.interpolate(nodes_BN[:, None], size=steps, mode="linear", align_corners=True)[
        :, 0
    ].exp()
    middle_B = (lengths_B - 1) / 2
    source_BT = speed_BT.cumsum(1)
    source_BT = source_BT - source_BT.gather(1, middle_B.long()[:, None]) + middle_B[:, None]
    source_BT = source_BT + config.shift * (2 * torch.rand(count, 1) - 1)
    return _sampled(signals_BCT, lengths_B, source_BT), _found(keypoints_BK, lengths_B, source_BT)


def _sampled(signals_BCT: Tensor, lengths_B: Tensor, source_BT: Tensor) -> Tensor:
    """The signals at fractional places, linear between samples; the ends go on."""
    last_B1 = (lengths_B - 1)[:, None].to(source_BT.dtype)
    place_BT = source_BT.clamp_min(0).minimum(last_B1)
    low_BT = place_BT.floor()
    high_BT = (low_BT + 1).minimum(last_B1)
    shape = signals_BCT.shape
    low_BCT, high_BCT = (signals_BCT.gather(2, t.long()[:, None].expand(-1, shape[1], -1)) for t in (low_BT, high_BT))
    return torch.lerp(low_BCT, high_BCT, (place_BT - low_BT)[:, None])


def _found(keypoints_BK: Tensor, lengths_B: Tensor, source_BT: Tensor) -> Tensor:
    """Where a rising path passes each keypoint: linear between steps, NaN where it does not within the length."""
    after_BK = torch.searchsorted(source_BT.contiguous(), keypoints_BK.nan_to_num(nan=-math.inf).contiguous())
    inside_BK = (after_BK > 0) & (after_BK < lengths_B[:, None]) & ~keypoints_BK.isnan()
    after_BK = after_BK.clamp(1, source_BT.shape[1] - 1)
    low_BK, high_BK = source_BT.gather(1, after_BK - 1), source_BT.gather(1, after_BK)
    place_BK = after_BK - 1 + (keypoints_BK - low_BK) / (high_BK - low_BK)
    return torch.where(inside_BK, place_BK, math.nan)


def _mix(signals_BCT: Tensor, groups_B: Tensor, config: SignalAugmentation) -> Tensor:
    """Each channel becomes a sum of all of them."""
    count, channels, _ = signals_BCT.shape
    mix_BCC = _of_group(groups_B, channels**2).view(-1, channels, channels) * config.mixing + torch.eye(channels)
    flipped_BC1 = _of_group(groups_B, channels, uniform=True)[:, :, None] < config.flip
    mix_BCC = torch.where(flipped_BC1, -mix_BCC, mix_BCC)
    swapped_B11 = _of_group(groups_B, 1, uniform=True)[:, :, None] < config.swap
    mix_BCC = torch.where(swapped_B11, mix_BCC.flip(1), mix_BCC)
    if channels > 1:
        kept_BC = torch.ones(count, channels).scatter(1, torch.randint(channels, (count, 1)), 0.0)
        silent_B11 = torch.rand(count, 1, 1) < config.silence
        mix_BCC = torch.where(silent_B11, kept_BC[:, :, None] * mix_BCC, mix_BCC)
    return mix_BCC @ signals_BCT


def _disturb(signals_BCT: Tensor, config: SignalAugmentation) -> Tensor:
    count, channels, steps = signals_BCT.shape
    if config.scale or config.modulation:
        gains_BCT = 1 + config.modulation * _between(torch.randn(count, channels, config.nodes), steps)
        signals_BCT = signals_BCT * gains_BCT * (config.scale * torch.randn(count, channels, 1)).exp()
    if config.wander:
        time_T = torch.linspace(0, 2 * math.pi, steps)
        cycles, phase = WANDER_CYCLES * torch.rand(count, channels, 1), 2 * math.pi * torch.rand(count, channels, 1)
        signals_BCT = signals_BCT + config.wander * torch.randn(count, channels, 1) * (cycles * time_T + phase).sin()
    if config.noise:
        level_BC1 = config.noise * torch.rand(count, channels, 1)
        signals_BCT = signals_BCT + level_BC1 * torch.randn(count, channels, steps)
    return signals_BCT


def _of_group(groups_B: Tensor, numbers: int, uniform: bool = False) -> Tensor:
    """The same random numbers for all signals of a group: (B, numbers)."""
    distinct_G, place_B = groups_B.unique(return_inverse=True)
    draw = torch.rand if uniform else torch.randn
    return draw(len(distinct_G), numbers)[place_B]


def _between(nodes_BCN: Tensor, steps: int) -> Tensor:
    """Linear between nodes that are spread evenly over the steps: (B, C, T)."""
    return functional.interpolate(nodes_BCN, size=steps, mode="linear", align_corners=True)
