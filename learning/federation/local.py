"""How a node learns in one round: gradient steps on its own samples, from where the coordinator stands.

Shapes: M samples, O outputs.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch.nn import Parameter

from data.samples import Samples
from learning.batches import TrainingSet, batch_sizes, batches
from learning.class_weights import class_weights
from learning.config import TrainingConfig
from learning.engine import Forward, PlainEngine
from learning.losses import make_loss
from learning.normalisation import normalised_targets
from learning.optimisers import make_optimiser
from learning.steps import batch_loss
from models.network import Network

LAST_RATE = 0.05
"""The share of the learning rate that is left in the last round; it falls evenly."""

Correction = Callable[[list[Parameter]], None]
"""Changes the gradients of the weights before each step."""


@dataclass(frozen=True)
class Steps:
    """How many gradient steps were made, of how many, at which rate, and their mean loss."""

    done: int
    planned: int
    rate: float
    loss: float


def rate_of(training: TrainingConfig, round_number: int, rounds: int) -> float:
    """The learning rate of a round, from 1."""
    gone = (round_number - 1) / max(rounds - 1, 1)
    return training.learning_rate * (1 - (1 - LAST_RATE) * min(gone, 1.0))


def learn_locally(
    network: Network,
    samples: Samples,
    training: TrainingConfig,
    epochs: int,
    rate: float,
    correction: Correction | None = None,
    may_go_on: Callable[[], bool] = lambda: True,
    offsets_O: torch.Tensor | None = None,
) -> Steps:
    """Train in place; uses torch's global generator.

    may_go_on: asked after each step, so at least one is made. offsets_O: added to the outputs while learning.

    Raises FloatingPointError where a loss is not finite.
    """
    optimiser = make_optimiser(network.parameters(), training.optimiser, rate, training.weight_decay)
    training_set = TrainingSet(samples, normalised_targets(network, samples), network.normaliser)
    weights_O = class_weights(training.class_weights, samples.targets_B, network.outputs)
    loss_of, engine = make_loss(training.loss, network.task, weights_O), PlainEngine()
    forward, parameters = _with_offsets(engine.prepare(network, optimiser), offsets_O), list(network.parameters())
    sizes = batch_sizes(len(samples), training.batch_size)
    order = torch.cat([torch.randperm(len(samples)) for _ in range(epochs)])
    losses: list[torch.Tensor] = []
    network.train()
    for batch in batches(training_set, order, sizes * epochs):
        loss, _ = batch_loss(forward, loss_of, batch, training.augmentations)
        engine.backward(loss)
        if correction is not None:
            correction(parameters)
        engine.step(training.clip_norm)
        losses.append(loss.detach())
        if not may_go_on():
            break
    network.eval()
    network.zero_grad()
    mean = float(torch.stack(losses).mean())
    if not math.isfinite(mean):
        raise FloatingPointError("the loss of a node's training is not finite")
    return Steps(len(losses), len(sizes) * epochs, rate, mean)


def _with_offsets(forward: Forward, offsets_O: torch.Tensor | None) -> Forward:
    return forward if offsets_O is None else lambda inputs: forward(inputs) + offsets_O
