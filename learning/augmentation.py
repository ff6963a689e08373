"""Changes of normalised inputs that a network should not mind: units are each channel's deviation.

Shapes: B samples, L window length, C channels. Randomness comes from torch's global generator.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor

from data.config import Config


class Noise(Config):
    """Gaussian noise on every reading."""

    kind: Literal["noise"] = "noise"
    deviations: float = Field(default=0.05, gt=0)


class TimeShift(Config):
    """Each window shifted by up to so many steps, its edge repeated; rows stay as they are."""

    kind: Literal["time_shift"] = "time_shift"
    most_steps: int = Field(default=2, ge=1)


class Scaling(Config):
    """Each channel of a sample times a factor around one."""

    kind: Literal["scaling"] = "scaling"
    deviations: float = Field(default=0.1, gt=0, lt=1)


class ChannelDropout(Config):
    """A channel of a sample silent, at its mean, with this probability."""

    kind: Literal["channel_dropout"] = "channel_dropout"
    share: float = Field(default=0.1, gt=0, lt=1)


class Mixup(Config):
    """Each sample blended with another, and their losses too (Zhang et al. 2018)."""

    kind: Literal["mixup"] = "mixup"
    alpha: float = Field(default=0.2, gt=0)


AugmentationConfig = Annotated[Noise | TimeShift | Scaling | ChannelDropout | Mixup, Field(discriminator="kind")]


@dataclass(frozen=True)
class Mix:
    """The inputs are share · x + (1 − share) · x[order]: so the loss must be."""

    order_B: Tensor
    share: float


def augment(inputs: Tensor, augmentations: Sequence[AugmentationConfig]) -> tuple[Tensor, Mix | None]:
    """The inputs (B, C) or (B, L, C) after all augmentations in turn; they themselves stay as they are."""
    mix = None
    for augmentation in augmentations:
        match augmentation:
            case Noise():
                inputs = inputs + augmentation.deviations * torch.randn_like(inputs)
            case TimeShift():
                inputs = _shifted(inputs, augmentation.most_steps)
            case Scaling():
                inputs = inputs * (1 + augmentation.deviations * torch.randn_like(_per_channel(inputs)))
            case ChannelDropout():
                inputs = inputs * (torch.rand_like(_per_channel(inputs)) >= augmentation.share)
            case Mixup():
                inputs, mix = _mixed(inputs, augmentation.alpha)
    return inputs, mix


def _per_channel(inputs: Tensor) -> Tensor:
    """Something of shape (B, C), or (B, 1, C) for windows."""
    return inputs if inputs.dim() == 2 else inputs[:, :1]


def _shifted(inputs: Tensor, most_steps: int) -> Tensor:
    if inputs.dim() == 2:
        return inputs
    count, length, channels = inputs.shape
    shifts_B1 = torch.randint(-most_steps, most_steps + 1, (count, 1), device=inputs.device)
    steps_BL = (torch.arange(length, device=inputs.device) + shifts_B1).clamp(0, length - 1)
    return inputs.gather(1, steps_BL[:, :, None].expand(-1, -1, channels))


def _mixed(inputs: Tensor, alpha: float) -> tuple[Tensor, Mix]:
    share = float(torch.distributions.Beta(alpha, alpha).sample())
    order_B = torch.randperm(inputs.shape[0], device=inputs.device)
    return share * inputs + (1 - share) * inputs[order_B], Mix(order_B, share)
