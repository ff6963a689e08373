"""How much each class counts in the loss. Shapes: B samples, O classes."""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor


def class_weights(
    asked: Literal["balanced"] | Sequence[float] | None, targets_B: Tensor, classes: int
) -> Tensor | None:
    """A weight for each class, or None: all the same.

    balanced: samples / (classes · samples of the class), so that every class counts the same; a class without samples
    weighs nothing. Raises ValueError where another number of weights is given than there are classes.
    """
    if asked is None:
        return None
    if asked == "balanced":
        counts_O = torch.bincount(targets_B, minlength=classes).float()
        return torch.where(counts_O > 0, len(targets_B) / (classes * counts_O.clamp_min(1)), 0.0)
    if len(asked) != classes:
        raise ValueError(f"training.class_weights: {len(asked)} weights for {classes} classes")
    return torch.tensor(asked, dtype=torch.float32)
