"""A bounded number of gradient steps that bring a network up to date.

Shapes: M samples, K heads.
"""

from collections.abc import Iterable
from time import perf_counter

import torch
from torch import Tensor
from torch.nn import Parameter

from data.samples import Samples
from learning.config import TrainingConfig
from learning.normalisation import normalised, refit_normalisers
from learning.trainer import Cost, EpochRecord, Training, batches, falling_rates, make_optimiser, run_epoch
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
    optimiser = make_optimiser(network.parameters() if parameters is None else parameters, config)
    rates = falling_rates(steps, config.learning_rate)
    loss = run_epoch(
        network, optimiser, batches(normalised(network, samples), drawn, config.batch_size, weights_MK), rates
    )
    network.eval()
    seconds = perf_counter() - started
    return Training((EpochRecord(1, 1, loss, None, seconds),), Cost(len(drawn), seconds))
