"""Record-level privacy: DP-SGD (Abadi et al. 2016) with Opacus' per-sample gradients, clipping and noise.

Shapes: M samples, B samples drawn for one step.
"""

import math
import warnings
from collections.abc import Callable, Mapping
from copy import deepcopy
from typing import Any

import torch
from torch import Tensor, nn

from data.samples import Samples
from learning.batches import TrainingSet
from learning.config import TrainingConfig
from learning.federation.config import RecordPrivacy
from learning.federation.local import Steps
from learning.losses import make_loss
from learning.normalisation import normalised_targets
from learning.optimisers import make_optimiser
from models.network import Network


def opacus_library() -> Any:
    """Opacus; raises ValueError where its extra is not installed."""
    try:
        import opacus
    except ImportError:
        raise ValueError("privacy needs its extra: pip install 'lehr[privacy]'") from None
    return opacus


def check_network(network: Network) -> None:
    """Raise ValueError for a network whose gradients cannot be told apart by row."""
    if any(isinstance(module, nn.BatchNorm1d) for module in network.modules()):
        raise ValueError(
            f"model: batch norm mixes the rows of a batch, so {network.config.architecture} has no record-level "
            f"privacy; mlp, lstm and gru have it"
        )


def draw_rate(samples: Samples, training: TrainingConfig) -> float:
    """The chance of each sample to be in a step."""
    return min(1.0, training.batch_size / len(samples))


def learn_privately(
    network: Network,
    samples: Samples,
    training: TrainingConfig,
    epochs: int,
    rate: float,
    privacy: RecordPrivacy,
    noise: torch.Generator,
    may_go_on: Callable[[], bool] = lambda: True,
) -> Steps:
    """Train in place by DP-SGD: each step takes each sample by a draw of its own, cuts its gradient, and adds noise.

    noise: draws samples and noise. LSTM and GRU layers become Opacus' own while it lasts, which are the same function.
    Raises ValueError where Opacus is not installed, and for a network with batch norm.
    """
    check_network(network)
    opacus_library()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Opacus and torch talk about hooks on layers whose inputs need no gradient
        from opacus.grad_sample import GradSampleModule
        from opacus.optimizers import DPOptimizer

        private = deepcopy(network)
        _take_private_layers(private)
        module = GradSampleModule(_Trainable(private))
        inner = make_optimiser(private.parameters(), training.optimiser, rate, training.weight_decay)
        optimiser = DPOptimizer(
            inner,
            noise_multiplier=privacy.noise,
            max_grad_norm=privacy.clip,
            expected_batch_size=max(1, round(draw_rate(samples, training) * len(samples))),
            generator=noise,
        )
        steps = _descend(module, private, optimiser, samples, training, epochs, rate, noise, may_go_on)
    _give_plain_layers_back(private)
    network.load_state_dict(private.state_dict())
    network.eval()
    return steps


def _descend(
    module: Any,
    private: Network,
    optimiser: Any,
    samples: Samples,
    training: TrainingConfig,
    epochs: int,
    rate: float,
    noise: torch.Generator,
    may_go_on: Callable[[], bool],
) -> Steps:
    training_set = TrainingSet(samples, normalised_targets(private, samples), private.normaliser)
    loss_of, chance = make_loss(training.loss, private.task), draw_rate(samples, training)
    planned, losses = max(1, math.ceil(epochs / chance)), list[float]()
    module.train()
    done = 0
    while done < planned:
        drawn_B = (torch.rand(len(samples), generator=noise) < chance).nonzero().flatten()
        optimiser.zero_grad()
        if len(drawn_B):
            loss = loss_of(module(training_set.inputs(drawn_B)), training_set.targets[drawn_B], None)
            loss.backward()
            losses.append(float(loss.detach()))
        else:
            for parameter in private.parameters():
                parameter.grad_sample = torch.zeros(0, *parameter.shape)  # pyright: ignore[reportAttributeAccessIssue]
        optimiser.step()
        done += 1
        if not may_go_on():
            break
    module.remove_hooks()
    mean = sum(losses) / max(len(losses), 1)
    if not math.isfinite(mean):
        raise FloatingPointError("the loss of a node's training is not finite")
    return Steps(done, planned, rate, mean)


class _Trainable(nn.Module):
    """What Opacus wraps: its forward is the network's training pass."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.trunk, self.head = network.trunk, network.head
        self._shape = (-1, network.heads, network.outputs)

    def forward(self, normalised: Tensor) -> Tensor:
        return self.head(self.trunk(normalised)).view(self._shape)


def _take_private_layers(network: Network) -> None:
    """Let recurrent layers be Opacus' own, with the same weights."""
    from opacus.layers import DPGRU, DPLSTM

    _swap(network, {nn.LSTM: DPLSTM, nn.GRU: DPGRU})


def _give_plain_layers_back(network: Network) -> None:
    from opacus.layers import DPGRU, DPLSTM

    _swap(network, {DPLSTM: nn.LSTM, DPGRU: nn.GRU})


def _swap(network: Network, kinds: Mapping[Any, Any]) -> None:
    for parent in list(network.modules()):
        for name, layer in list(parent.named_children()):
            if type(layer) in kinds:
                of_layer: Any = layer
                sizes = of_layer.input_size, of_layer.hidden_size, of_layer.num_layers
                rest = {"dropout": of_layer.dropout, "bidirectional": of_layer.bidirectional}
                other = kinds[type(layer)](*sizes, batch_first=True, **rest)
                other.load_state_dict(layer.state_dict())
                setattr(parent, name, other)
