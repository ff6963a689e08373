"""A bounded number of gradient steps that bring a network up to date.

Shapes: M samples, K heads.
"""

import math
from collections.abc import Iterable
from time import perf_counter

import torch
from torch import Tensor
from torch.nn import Parameter

from data.samples import Samples
from learning.batches import TrainingSet, batches
from learning.class_weights import class_weights
from learning.config import TrainingConfig
from learning.engine import PlainEngine
from learning.losses import make_loss
from learning.metrics import Cost, Training
from learning.normalisation import normalised_targets, refit_normalisers
from learning.optimisers import make_optimiser
from learning.schedules import Linear, epoch_rates
from learning.steps import batch_loss
from models.network import Network, build_network

SHRINK = 0.95
PERTURB = 0.01
EPOCHS = 10
LEAST_STEPS, MOST_STEPS = 100, 150
"""The cost of an update does not grow with history."""


@torch.no_grad()
def shrink_and_perturb(network: Network, shrink: float = SHRINK, perturb: float = PERTURB) -> None:
    """Weights x shrink + perturb x fresh weights (Ash & Adams 2020): learns as readily as a fresh network."""
    fresh = build_network(network.config, network.features, network.outputs, network.task, network.heads)
    for weight, fresh_weight in zip(network.parameters(), fresh.parameters(), strict=True):
        weight.mul_(shrink).add_(fresh_weight, alpha=perturb)


def refresh(
    network: Network,
    samples: Samples,
    shares_MK: Tensor,
    config: TrainingConfig,
    parameters: Iterable[Parameter] | None = None,
) -> Training:
    """Train in place for 100 to 150 steps on samples drawn in proportion to the heads' mean share.

    shares_MK: how each head's attention is spread over the samples; each column sums to one.
    parameters: those that learn; None: all, with the normalisers fitted to what is drawn.
    Raises FloatingPointError where a loss is not finite.
    """
    started = perf_counter()
    chances_M = shares_MK.mean(1)
    if parameters is None:
        refit_normalisers(network, samples, chances_M)
    steps = min(max(EPOCHS * len(samples) // config.batch_size, LEAST_STEPS), MOST_STEPS)
    drawn = torch.multinomial(chances_M, steps * config.batch_size, replacement=True)
    weights_MK = (shares_MK / chances_M.clamp_min(1e-30)[:, None]).float() if network.heads > 1 else None
    optimiser = make_optimiser(
        network.parameters() if parameters is None else parameters,
        config.optimiser,
        config.learning_rate,
        config.weight_decay,
    )
    _run_steps(network, samples, drawn, weights_MK, optimiser, config, steps)
    network.eval()
    return Training((), Cost(len(drawn), perf_counter() - started))


def _run_steps(
    network: Network,
    samples: Samples,
    drawn: Tensor,
    weights_MK: Tensor | None,
    optimiser: torch.optim.Optimizer,
    config: TrainingConfig,
    steps: int,
) -> None:
    training_set = TrainingSet(samples, normalised_targets(network, samples), network.normaliser)
    weights_O = class_weights(config.class_weights, samples.targets_B, network.outputs)
    loss_of = make_loss(config.loss, network.task, weights_O)
    engine, (group,) = PlainEngine(), optimiser.param_groups
    forward = engine.prepare(network, optimiser)
    rates = epoch_rates(Linear(), config.learning_rate, 1, 1, steps, ())
    network.train()
    for batch, rate in zip(batches(training_set, drawn, [config.batch_size] * steps, weights_MK), rates, strict=True):
        group["lr"] = rate
        loss, _ = batch_loss(forward, loss_of, batch, config.augmentations)
        engine.backward(loss)
        engine.step(config.clip_norm)
        if not math.isfinite(loss.item()):
            raise FloatingPointError("the loss of an update is not finite: its samples or targets are not")
    network.zero_grad()
