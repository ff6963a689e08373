"""Losses of heads. Shapes: B samples, K heads, O outputs."""

from torch import Tensor
from torch.nn import functional


def mean_loss(outputs_BKO: Tensor, targets_B: Tensor, shares_BK: Tensor | None) -> Tensor:
    """Cross-entropy for class numbers (int64), squared error for values (float32), averaged over samples and heads.

    shares_BK: how much each sample counts for each head; None: all the same, one head.
    """
    if shares_BK is None:
        return _loss_of_one_head(outputs_BKO, targets_B)
    return (head_losses(outputs_BKO, targets_B) * shares_BK).mean()


def head_losses(outputs_BKO: Tensor, targets_B: Tensor) -> Tensor:
    """The loss of each sample at each head, (B, K)."""
    targets_BK = targets_B[:, None].expand(-1, outputs_BKO.shape[1])
    if targets_B.is_floating_point():
        return (outputs_BKO.squeeze(2) - targets_BK).square()
    return functional.cross_entropy(outputs_BKO.transpose(1, 2), targets_BK, reduction="none")


def _loss_of_one_head(outputs_B1O: Tensor, targets_B: Tensor) -> Tensor:
    if targets_B.is_floating_point():
        return functional.mse_loss(outputs_B1O.flatten(), targets_B)
    return functional.cross_entropy(outputs_B1O.flatten(1), targets_B)
