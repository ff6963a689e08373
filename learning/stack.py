"""The weights of many multi-layer perceptrons in one block of memory, and a gradient step of all of them at once.

Every offset and row is padded to a multiple of 16 numbers: then a network's sums come out the same to the bit whoever
else is in the stack. Padded units have weight zero and keep it.
Shapes: S slots, B rows of a batch, I inputs and H units of a layer, O outputs (all padded), P numbers of one network.
"""

from collections.abc import Callable, Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.mlp import Mlp
from models.network import Network

ALIGNED = 16

StackLoss = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
"""Outputs (S, B, O) and targets (S, B, 1 or O) → each row's loss (S, B, 1) and its slope (S, B, O)."""


class Stack:
    """Slots for networks of one architecture; the first `active` of them take part in a step."""

    def __init__(self, network: Network, slots: int, batch_size: int, loss: StackLoss) -> None:
        self._loss = loss
        layers = linears(network)
        sizes = [layers[0].in_features, *(layer.out_features for layer in layers)]
        self.outputs, self.dropout = network.outputs, network.config.dropout
        padded = [_padded(size) for size in sizes]
        numbers = sum((inputs + 1) * units for inputs, units in pairwise(padded))
        self.parameters_SP, self.gradients_SP, self.moments_SP, self.squares_SP = torch.zeros(4, slots, numbers)
        self._layers_SIH = _views(self.parameters_SP, padded)
        self._gradients_SIH = _views(self.gradients_SP, padded)
        self._inputs_SBI = torch.zeros(slots, batch_size, padded[0])
        self._masks_SBH = [torch.ones(slots, batch_size, units) for units in padded[1:-1]]
        self._units = sizes[1:-1]
        # What each row of a batch counts in its mean: nothing where there is none.
        self._counts_SB1 = torch.zeros(slots, batch_size, 1)
        classes = network.task == "classification"
        self._targets_SBO = torch.zeros(slots, batch_size, 1 if classes else self.outputs, dtype=_kind(classes))
        self._rows_S = [0] * slots

    @torch.no_grad()
    def put(self, slot: int, network: Network) -> None:
        """Take a network's weights into a slot; its optimiser starts afresh."""
        for block in (self.parameters_SP, self.moments_SP, self.squares_SP):
            block[slot].zero_()
        for (weight_IH, bias_1H), layer in zip(self._of(slot, self._layers_SIH), linears(network), strict=True):
            weight_IH[: layer.in_features, : layer.out_features] = layer.weight.T
            bias_1H[0, : layer.out_features] = layer.bias

    @torch.no_grad()
    def get(self, slot: int, network: Network) -> None:
        """Write a slot's weights into its network."""
        for (weight_IH, bias_1H), layer in zip(self._of(slot, self._layers_SIH), linears(network), strict=True):
            layer.weight.copy_(weight_IH[: layer.in_features, : layer.out_features].T)
            layer.bias.copy_(bias_1H[0, : layer.out_features])

    def move(self, source: int, slot: int) -> None:
        """Take what is in one slot into another."""
        for block in (self.parameters_SP, self.moments_SP, self.squares_SP):
            block[slot] = block[source]

    def draw_masks(self, slot: int, rows: int, generator: torch.Generator) -> None:
        """Dropout as a network of its own would draw it, for a batch of so many rows."""
        if self.dropout == 0:
            return
        for mask_SBH, units in zip(self._masks_SBH, self._units, strict=True):
            kept = torch.empty(rows, units).bernoulli_(1 - self.dropout, generator=generator)
            torch.div(kept, 1 - self.dropout, out=mask_SBH[slot, :rows, :units])

    def put_batch(self, slot: int, inputs_BC: Tensor, targets: Tensor) -> None:
        """The next batch of a slot."""
        rows, features = inputs_BC.shape
        self._inputs_SBI[slot, :rows, :features] = inputs_BC
        self._targets_SBO[slot, :rows] = targets.view(rows, -1)
        if rows != self._rows_S[slot]:
            self._rows_S[slot] = rows
            self._counts_SB1[slot, :rows] = 1 / rows
            for block in (self._inputs_SBI, self._targets_SBO, self._counts_SB1):
                block[slot, rows:] = 0

    @torch.no_grad()
    def learn(self, active: int) -> tuple[Tensor, Tensor]:
        """Gradients of the mean loss of each active slot's batch; returns the losses (S,) and the outputs (S, B, O)."""
        hidden = [self._inputs_SBI[:active]]
        masks = [mask_SBH[:active] for mask_SBH in self._masks_SBH]
        layers = [(weight[:active], bias[:active]) for weight, bias in self._layers_SIH]
        for (weight_SIH, bias_S1H), mask_SBH in zip(layers[:-1], masks, strict=True):
            hidden.append(torch.baddbmm(bias_S1H, hidden[-1], weight_SIH).relu_().mul_(mask_SBH))
        weight_SIH, bias_S1H = layers[-1]
        outputs_SBO = torch.baddbmm(bias_S1H, hidden[-1], weight_SIH)[..., : self.outputs].contiguous()
        losses_SB1, slopes_SBO = self._loss(outputs_SBO, self._targets_SBO[:active])
        counts_SB1 = self._counts_SB1[:active]
        self._go_back(active, hidden, masks, slopes_SBO.mul_(counts_SB1))
        return losses_SB1.mul_(counts_SB1).sum((1, 2)), outputs_SBO

    def _go_back(self, active: int, hidden: list[Tensor], masks: list[Tensor], slopes_SBO: Tensor) -> None:
        slope_SBH = functional.pad(slopes_SBO, (0, self._layers_SIH[-1][0].shape[2] - self.outputs))
        for place in reversed(range(len(self._layers_SIH))):
            weight_SIH, _ = self._layers_SIH[place]
            into_weight, into_bias = (part[:active] for part in self._gradients_SIH[place])
            torch.bmm(hidden[place].transpose(1, 2), slope_SBH, out=into_weight)
            torch.sum(slope_SBH, 1, keepdim=True, out=into_bias)
            if place > 0:
                slope_SBH = torch.bmm(slope_SBH, weight_SIH[:active].transpose(1, 2)).mul_(masks[place - 1])
                slope_SBH = torch.ops.aten.threshold_backward(slope_SBH, hidden[place], 0)

    @staticmethod
    def _of(slot: int, views: Sequence[tuple[Tensor, Tensor]]) -> list[tuple[Tensor, Tensor]]:
        return [(weight[slot], bias[slot]) for weight, bias in views]


def linears(network: Network) -> list[nn.Linear]:
    """All layers of a multi-layer perceptron, the head last."""
    assert isinstance(network.trunk, Mlp), "only multi-layer perceptrons are stacked"
    hidden = [layer for layer in network.trunk.dense.linears if isinstance(layer, nn.Linear)]
    return [*hidden, network.head]


def entropies(logits_SBO: Tensor, targets_SB1: Tensor, smoothing: float) -> tuple[Tensor, Tensor]:
    """Cross-entropy of each row (S, B, 1) and its slope (S, B, O)."""
    logs_SBO, classes = logits_SBO.log_softmax(2), logits_SBO.shape[2]
    losses_SB1 = logs_SBO.gather(2, targets_SB1).mul_(smoothing - 1)
    slopes_SBO = logs_SBO.exp()
    slopes_SBO.scatter_add_(2, targets_SB1, torch.full_like(losses_SB1, smoothing - 1))
    if smoothing > 0:
        losses_SB1 -= smoothing * logs_SBO.mean(2, keepdim=True)
        slopes_SBO -= smoothing / classes
    return losses_SB1, slopes_SBO


def squared_errors(values_SBO: Tensor, targets_SBO: Tensor) -> tuple[Tensor, Tensor]:
    """Mean squared error of each row (S, B, 1) and its slope (S, B, O)."""
    errors_SBO = values_SBO - targets_SBO
    return errors_SBO.square().mean(2, keepdim=True), errors_SBO * (2 / values_SBO.shape[2])


def _kind(classes: bool) -> torch.dtype:
    return torch.int64 if classes else torch.float32


def _padded(size: int) -> int:
    return -(-size // ALIGNED) * ALIGNED


def _views(block_SP: Tensor, sizes: Sequence[int]) -> list[tuple[Tensor, Tensor]]:
    """Weight (S, I, H) and bias (S, 1, H) of each layer, in the block's memory."""
    views: list[tuple[Tensor, Tensor]] = []
    start = 0
    for inputs, units in pairwise(sizes):
        weight_SP = block_SP[:, start : start + inputs * units]
        bias_SP = block_SP[:, start + inputs * units : start + (inputs + 1) * units]
        views.append((weight_SP.unflatten(1, (inputs, units)), bias_SP[:, None]))
        start += (inputs + 1) * units
    return views
