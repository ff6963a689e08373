"""The training loop: order the whole set at once, gather it in long pieces, split these into batches.

Shapes: M samples, B samples of one step, K heads.
"""

import math
from collections.abc import Callable, Iterable, Iterator
from copy import deepcopy
from dataclasses import dataclass
from time import perf_counter

import torch
from torch import Tensor
from torch.nn import Parameter

from data.samples import Samples
from learning.config import TrainingConfig
from learning.losses import mean_loss
from learning.normalisation import normalised
from learning.validation import split_validation
from models.network import Network

PIECE_STEPS = 64
"""So many steps' inputs are gathered at once: enough that a step's own work dominates, little memory for windows."""

WARM_UP_STEPS = 5
FINAL_RATE = 0.05

Step = tuple[Tensor, Tensor, Tensor | None]
"""Inputs, targets (B,), and shares (B, K) or None."""


@dataclass(frozen=True)
class EpochRecord:
    """How one epoch went. Losses are in the network's units; `validation_loss` is None where nothing was held back."""

    epoch: int
    epochs: int
    loss: float
    validation_loss: float | None
    seconds: float


Progress = Callable[[EpochRecord], None]


@dataclass(frozen=True)
class Cost:
    """What learning took: samples that went through a gradient step, and seconds."""

    samples: int
    seconds: float

    def __add__(self, other: "Cost") -> "Cost":
        return Cost(self.samples + other.samples, self.seconds + other.seconds)


@dataclass(frozen=True)
class Training:
    """What a training did besides changing the network."""

    history: tuple[EpochRecord, ...]
    cost: Cost


def fit(network: Network, samples: Samples, config: TrainingConfig, progress: Progress | None = None) -> Training:
    """Train the network in place on all samples until its validation loss stops improving; the best weights stay.

    The network has one head, and its normaliser is fitted already. Uses torch's global generator.
    Raises ValueError for no samples, FloatingPointError where a loss is not finite.
    """
    if len(samples) == 0:
        raise ValueError("there are no training samples to learn from")
    started = perf_counter()
    train, validation = split_validation(normalised(network, samples), torch.default_generator)
    optimiser = make_optimiser(network.parameters(), config)
    rates = falling_rates(config.epochs * math.ceil(len(train) / config.batch_size), config.learning_rate)
    history: list[EpochRecord] = []
    best = _Best(network)
    for epoch in range(1, config.epochs + 1):
        steps = batches(train, torch.randperm(len(train)), config.batch_size)
        loss = run_epoch(network, optimiser, steps, rates)
        held_back = validation_loss(network, validation)
        history.append(EpochRecord(epoch, config.epochs, loss, held_back, perf_counter() - started))
        if progress is not None:
            progress(history[-1])
        if held_back is not None and not best.improved(network, held_back, epoch, config.patience):
            break
    best.restore(network)
    return Training(tuple(history), Cost(len(history) * len(train), perf_counter() - started))


def make_optimiser(parameters: Iterable[Parameter], config: TrainingConfig) -> torch.optim.AdamW:
    """AdamW in its fused form, which alone makes an MLP's step 1.3 to 1.6 times faster."""
    return torch.optim.AdamW(list(parameters), lr=config.learning_rate, weight_decay=config.weight_decay, fused=True)


def falling_rates(steps: int, peak: float) -> Iterator[float]:
    """The learning rate of each step: a short warm-up, then a straight line down to a twentieth of the peak."""
    for step in range(steps):
        warm = min(1.0, (step + 1) / WARM_UP_STEPS)
        yield peak * warm * (1 - (1 - FINAL_RATE) * step / steps)


def batches(samples: Samples, order_M: Tensor, batch_size: int, shares_MK: Tensor | None = None) -> Iterator[Step]:
    """Inputs, targets and shares of each step, in the given order of samples (which may repeat some)."""
    for piece in order_M.split(batch_size * PIECE_STEPS):
        inputs = samples.inputs(piece).split(batch_size)
        targets = samples.targets_B[piece].split(batch_size)
        shares = [None] * len(targets) if shares_MK is None else shares_MK[piece].split(batch_size)
        yield from zip(inputs, targets, shares, strict=True)


def run_epoch(
    network: Network, optimiser: torch.optim.Optimizer, steps: Iterable[Step], rates: Iterator[float]
) -> float:
    """One gradient step for each batch; returns the mean loss.

    Raises FloatingPointError naming step and tensor as soon as a loss is not finite.
    """
    network.train()
    (group,) = optimiser.param_groups
    total, count = 0.0, 0
    for (inputs, targets_B, shares_BK), group["lr"] in zip(steps, rates, strict=False):
        optimiser.zero_grad()
        loss = mean_loss(network.normalised_outputs(inputs), targets_B, shares_BK)
        loss.backward()
        optimiser.step()
        value = loss.item()
        count += 1
        if not math.isfinite(value):
            raise FloatingPointError(_not_finite(network, inputs, targets_B, count))
        total += value
    network.zero_grad()
    return total / max(count, 1)


@torch.no_grad()
def validation_loss(network: Network, samples: Samples | None) -> float | None:
    """The mean loss on samples in the network's units; None where there are none."""
    if samples is None:
        return None
    network.eval()
    pieces = torch.arange(len(samples)).split(4096)
    total = sum(
        float(mean_loss(network.normalised_outputs(samples.inputs(p)), samples.targets_B[p], None)) * len(p)
        for p in pieces
    )
    if not math.isfinite(total):
        raise FloatingPointError(_not_finite(network, samples.rows_NC, samples.targets_B, step=0))
    return total / len(samples)


class _Best:
    """The weights of the epoch with the lowest validation loss."""

    def __init__(self, network: Network) -> None:
        self.loss, self.epoch = math.inf, 0
        self.state: dict[str, Tensor] | None = None

    def improved(self, network: Network, loss: float, epoch: int, patience: int) -> bool:
        """Note an epoch; False once the last `patience` epochs brought nothing better."""
        if loss < self.loss:
            self.loss, self.epoch, self.state = loss, epoch, deepcopy(network.state_dict())
        return epoch - self.epoch < patience

    def restore(self, network: Network) -> None:
        if self.state is not None:
            network.load_state_dict(self.state)


def _not_finite(network: Network, inputs: Tensor, targets_B: Tensor, step: int) -> str:
    tensors = {"inputs": inputs, "targets": targets_B, **network.state_dict()}
    gradients = {f"the gradient of {n}": p.grad for n, p in network.named_parameters() if p.grad is not None}
    broken = [name for name, tensor in (tensors | gradients).items() if not tensor.isfinite().all()]
    where = f"step {step}" if step else "validation"
    return f"the loss is not finite at {where}; not finite: {', '.join(broken) or 'the loss alone'}"
