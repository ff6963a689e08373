"""The loss of one batch. Shapes: B samples, K heads, O outputs."""

from collections.abc import Sequence

from torch import Tensor

from learning.augmentation import AugmentationConfig, augment
from learning.batches import Batch
from learning.engine import Forward
from learning.losses import Loss


def batch_loss(
    forward: Forward, loss: Loss, batch: Batch, augmentations: Sequence[AugmentationConfig]
) -> tuple[Tensor, Tensor]:
    """The mean loss of a batch after augmentation, and its outputs (B, K, O)."""
    if not augmentations:
        outputs_BKO = forward(batch.inputs)
        return loss(outputs_BKO, batch.targets, batch.shares_BK), outputs_BKO
    inputs, mix = augment(batch.inputs, augmentations)
    outputs_BKO = forward(inputs)
    own = loss(outputs_BKO, batch.targets, batch.shares_BK)
    if mix is None:
        return own, outputs_BKO
    shares_BK = None if batch.shares_BK is None else batch.shares_BK[mix.order_B]
    others = loss(outputs_BKO, batch.targets[mix.order_B], shares_BK)
    return mix.share * own + (1 - mix.share) * others, outputs_BKO
