"""What signals that come grouped (element → session → signal) are learned by.

Shapes: B signals, K keypoints, E numbers of an embedding.
"""

from typing import Any, Literal, NamedTuple

import torch
from pydantic import Field
from torch import Tensor

from data.config import Config
from learning.keypoint_loss import keypoint_loss
from learning.triplets import (
    Miner,
    contrastive_loss,
    contrastive_losses,
    distances,
    factored_contrastive_loss,
    nested_contrastive_loss,
    triplet_loss,
)
from models.hierarchical import Representation


class HierarchicalLossConfig(Config):
    """Cross-entropy over time for each keypoint + λ · (session part + element part)."""

    metric: Literal["triplets", "contrastive", "nested_contrastive", "factored_contrastive"] = Field(
        default="factored_contrastive", description="how embeddings are compared; contrastive knows elements only"
    )
    lambda_metric: float = Field(default=1.0, ge=0, description="what embeddings count beside keypoints")
    margin_session: float = Field(default=0.1, ge=0, description="between a session and the others of its element")
    margin_element: float = Field(default=0.3, ge=0, description="between an element and the others")
    miner: Miner = "all"
    temperature: float = Field(default=0.1, gt=0, description="of the contrastive losses")
    session_weight: float | None = Field(
        default=None, ge=0, description="what the session part counts; null: 0.3 for factored_contrastive, else 1"
    )
    target_deviation: float = Field(
        default=2.0, ge=0, description="samples, of the Gaussian around a keypoint; 0: none"
    )
    offset_weight: float = Field(default=0.5, ge=0)

    @property
    def session_share(self) -> float:
        """What the session part counts beside the element part."""
        if self.session_weight is not None:
            return self.session_weight
        return 0.3 if self.metric == "factored_contrastive" else 1.0


class Losses(NamedTuple):
    """The whole, and its parts."""

    total: Tensor
    keypoint: Tensor
    session: Tensor
    element: Tensor


class HierarchicalLoss:
    """L_keypoint + λ · (L_session + L_element) of a batch.

    An anchor's positives are the signals of its session, its negatives those of other sessions of the same element;
    one level up: the signals of its element, and those of other elements. options: fields of the configuration, where
    none is given: `HierarchicalLoss(lambda_metric=0.5, margin_session=0.1)`. Raises ValueError for both.
    """

    def __init__(self, config: HierarchicalLossConfig | None = None, **options: Any) -> None:
        if config is not None and options:
            raise ValueError(f"a configuration is given, so {', '.join(options)} must stand in it")
        self.config = config or HierarchicalLossConfig(**options)

    def __call__(
        self,
        representation: Representation,
        elements_B: Tensor,
        sessions_B: Tensor,
        keypoints_BK: Tensor,
        weights_BK: Tensor,
        stride: int,
    ) -> Losses:
        """elements_B, sessions_B: int64; a session's number means something within its element.

        keypoints_BK, weights_BK, stride: see `keypoint_loss`. Differentiable wherever an embedding repeats.
        """
        config, zero = self.config, representation.embeddings_BE.new_zeros(())
        keypoint = zero
        if keypoints_BK.shape[1]:
            keypoint = keypoint_loss(
                representation, keypoints_BK, weights_BK, stride, config.target_deviation, config.offset_weight
            )
        if config.lambda_metric == 0:
            return Losses(keypoint, keypoint, zero, zero)
        session, element = self.metric(representation.embeddings_BE, elements_B, sessions_B)
        total = keypoint + config.lambda_metric * (config.session_share * session + element)
        return Losses(total, keypoint, session, element)

    def metric(self, embeddings_BE: Tensor, elements_B: Tensor, sessions_B: Tensor) -> tuple[Tensor, Tensor]:
        """The session part and the element part."""
        config = self.config
        same_element_BB = elements_B[:, None] == elements_B
        same_session_BB = same_element_BB & (sessions_B[:, None] == sessions_B)
        itself_BB = torch.eye(len(elements_B), dtype=torch.bool, device=elements_B.device)
        session_BB, element_BB = same_session_BB & ~itself_BB, same_element_BB & ~itself_BB
        if config.metric == "nested_contrastive":
            return nested_contrastive_loss(embeddings_BE, session_BB, element_BB, config.temperature)
        if config.metric == "factored_contrastive":
            return factored_contrastive_loss(embeddings_BE, session_BB, element_BB, config.temperature)
        if config.metric == "contrastive":
            losses_BB = contrastive_losses(embeddings_BE, element_BB, config.temperature)
            return losses_BB.new_zeros(()), contrastive_loss(losses_BB, element_BB)
        distances_BB = distances(embeddings_BE)
        session = triplet_loss(
            distances_BB, session_BB, same_element_BB & ~same_session_BB, config.margin_session, config.miner
        )
        element = triplet_loss(distances_BB, element_BB, ~same_element_BB, config.margin_element, config.miner)
        return session, element
