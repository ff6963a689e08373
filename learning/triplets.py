"""Losses of embeddings that compare signals of a batch with one another, all of them from one B × B matrix.

Shapes: B signals, E numbers of an embedding, P pairs of an anchor and a positive. `same_BB` says which signals belong
together, `others_BB` which must lie farther away; neither holds the diagonal.
"""

from typing import Literal

import torch
from torch import Tensor

Miner = Literal["all", "semi_hard", "hard"]

LEAST_SQUARE = 1e-12
"""Under the root: the root of zero has no finite gradient."""

NOWHERE = -1e9
"""The logit of a signal that does not count: finite, as there may be none that does."""


def distances(embeddings_BE: Tensor) -> Tensor:
    """Euclidean distances of embeddings of length one: (B, B)."""
    return (2 - 2 * embeddings_BE @ embeddings_BE.T).clamp_min(LEAST_SQUARE).sqrt()


def triplet_loss(distances_BB: Tensor, same_BB: Tensor, others_BB: Tensor, margin: float, miner: Miner) -> Tensor:
    """The mean of max(0, D(a, p) − D(a, n) + margin) over the mined triplets where it is not 0; 0 where there are none.

    all: every triplet. semi_hard: those whose negative lies behind the positive (Schroff et al. 2015). hard: of each
    anchor the farthest positive and the nearest negative (Hermans et al. 2017).
    """
    if miner == "hard":
        return _mean_of_active(_hardest(distances_BB, same_BB, others_BB, margin))
    anchors_P, positives_P = same_BB.nonzero(as_tuple=True)
    negatives_BB = distances_BB.masked_fill(~others_BB, torch.inf)
    positive_P1 = distances_BB[anchors_P, positives_P][:, None]
    gaps_PB = positive_P1 - negatives_BB.index_select(0, anchors_P)
    losses_PB = (gaps_PB + margin).relu()
    return _mean_of_active(losses_PB if miner == "all" else losses_PB * (gaps_PB < 0))


def contrastive_losses(
    embeddings_BE: Tensor, same_BB: Tensor, temperature: float, among_BB: Tensor | None = None
) -> Tensor:
    """−log of the share that a positive has of all other signals (Khosla et al. 2020): (B, B), 0 for other pairs.

    among_BB: the signals that it is a share of, positives included; None: all others.
    """
    logits_BB = embeddings_BE @ embeddings_BE.T / temperature
    if among_BB is None:
        among_BB = ~torch.eye(len(logits_BB), dtype=torch.bool, device=logits_BB.device)
    of_all_B1 = logits_BB.masked_fill(~among_BB, NOWHERE).logsumexp(1, keepdim=True)
    return (of_all_B1 - logits_BB).masked_fill(~same_BB, 0.0)


def contrastive_loss(losses_BB: Tensor, same_BB: Tensor) -> Tensor:
    """The mean over each anchor's positives, then over the anchors that have any."""
    positives_B = same_BB.sum(1)
    means_B = losses_BB.sum(1) / positives_B.clamp_min(1)
    return means_B.sum() / (positives_B > 0).sum().clamp_min(1)


def nested_contrastive_loss(
    embeddings_BE: Tensor, session_BB: Tensor, element_BB: Tensor, temperature: float
) -> tuple[Tensor, Tensor]:
    """Contrastive losses of both levels, where a pair of one element costs no less than the worst of one session.

    Which keeps sessions inside their elements (Zhang et al. 2022, hierarchical constraint). Session, element.
    """
    session_losses_BB = contrastive_losses(embeddings_BE, session_BB, temperature)
    element_losses_BB = contrastive_losses(embeddings_BE, element_BB, temperature)
    held_BB = torch.where(element_BB, element_losses_BB.maximum(session_losses_BB.detach().amax()), 0.0)
    return contrastive_loss(session_losses_BB, session_BB), contrastive_loss(held_BB, element_BB)


def factored_contrastive_loss(
    embeddings_BE: Tensor, session_BB: Tensor, element_BB: Tensor, temperature: float
) -> tuple[Tensor, Tensor]:
    """−log of what a neighbour's kind is taken for, factored: P(element) · P(session | element). Session, element.

    Elements are told from all other signals, sessions from those of their element alone, so that the two parts do not
    pull against one another.
    """
    session_losses_BB = contrastive_losses(embeddings_BE, session_BB, temperature, among_BB=element_BB)
    element_losses_BB = contrastive_losses(embeddings_BE, element_BB, temperature)
    return contrastive_loss(session_losses_BB, session_BB), contrastive_loss(element_losses_BB, element_BB)


def _hardest(distances_BB: Tensor, same_BB: Tensor, others_BB: Tensor, margin: float) -> Tensor:
    farthest_B = distances_BB.masked_fill(~same_BB, -torch.inf).amax(1)
    nearest_B = distances_BB.masked_fill(~others_BB, torch.inf).amin(1)
    return (farthest_B - nearest_B + margin).relu()


def _mean_of_active(losses: Tensor) -> Tensor:
    return losses.sum() / (losses > 0).sum().clamp_min(1)
