"""The one network that is trained and served: normaliser, trunk, linear heads.

Shapes: B samples, L window length, C features, K heads, O outputs (classes, or values), H trunk units.
"""

from collections.abc import Sequence
from copy import deepcopy

import torch
from torch import Tensor, nn

from models.cnn import Cnn
from models.cnn_lstm import CnnLstm
from models.config import CnnConfig, CnnLstmConfig, GruConfig, LstmConfig, MlpConfig, ModelConfig, Task
from models.gru import Gru
from models.lstm import Lstm
from models.mlp import Mlp

Trunk = Mlp | Cnn | Lstm | Gru | CnnLstm
"""`width`: units that the heads read; `input_layers`: what reads the normalised inputs."""

CLAMP = 8.0
"""Normalised inputs are cut at so many deviations."""


class Normaliser(nn.Module):
    """(…, C) raw readings → deviations from the mean, at most ±8; a missing reading (NaN) becomes the mean."""

    mean_C: Tensor
    std_C: Tensor

    def __init__(self, features: int) -> None:
        super().__init__()
        self.register_buffer("mean_C", torch.zeros(features))
        self.register_buffer("std_C", torch.ones(features))

    def forward(self, readings: Tensor) -> Tensor:
        known = torch.where(readings.isnan(), self.mean_C, readings)
        return ((known - self.mean_C) / self.std_C).clamp(-CLAMP, CLAMP)

    @torch.no_grad()
    def normalise_(self, readings: Tensor, moderate: bool = False) -> Tensor:
        """What `forward` gives, to the bit, in the place of the readings; see `are_moderate`."""
        deviations = readings.sub_(self.mean_C).div_(self.std_C)
        return deviations if moderate else deviations.clamp_(-CLAMP, CLAMP).nan_to_num_(nan=0.0)

    @torch.no_grad()
    def are_moderate(self, rows_NC: Tensor) -> bool:
        """Whether no reading is missing or clamped."""
        if len(rows_NC) == 0:
            return True
        extremes_2C = torch.stack(torch.aminmax(rows_NC, dim=0))
        return bool((((extremes_2C - self.mean_C) / self.std_C).abs() <= CLAMP).all())


class Network(nn.Module):
    """A normaliser, a trunk, and K linear heads side by side.

    `forward` is what is served and needs one head: (B, C) or (B, L, C) → class probabilities (B, O), a value (B,) or
    values (B, O).
    """

    target_mean: Tensor
    target_std: Tensor

    def __init__(self, config: ModelConfig, features: int, outputs: int, task: Task, heads: int = 1) -> None:
        super().__init__()
        self.config, self.features, self.outputs, self.heads = config, features, outputs, heads
        self.task: Task = task
        self.normaliser = Normaliser(features)
        self.trunk = build_trunk(config, features)
        self.head = nn.Linear(self.trunk.width, heads * outputs)
        self.register_buffer("target_mean", torch.zeros(outputs))
        self.register_buffer("target_std", torch.ones(outputs))

    def forward(self, inputs: Tensor) -> Tensor:
        assert self.heads == 1, "a network is served with one head: collapse it first"
        outputs_BO = self.head(self.trunk(self.normaliser(inputs)))
        if self.task == "classification":
            return outputs_BO.softmax(1)
        values_BO = outputs_BO * self.target_std + self.target_mean
        return values_BO.squeeze(1) if self.outputs == 1 else values_BO

    def normalised_outputs(self, normalised: Tensor) -> Tensor:
        """What is trained: normalised inputs → (B, K, O), logits or values in deviations of the target."""
        return self.head(self.trunk(normalised)).view(-1, self.heads, self.outputs)

    def head_outputs(self, inputs: Tensor) -> Tensor:
        """Each head's logits or values in the target's unit, (B, K, O)."""
        outputs_BKO = self.normalised_outputs(self.normaliser(inputs))
        return outputs_BKO if self.task == "classification" else outputs_BKO * self.target_std + self.target_mean

    @torch.no_grad()
    def renormalise_inputs(self, mean_C: Tensor, std_C: Tensor) -> None:
        """Take another mean and deviation and fold the change into the first layer: the function stays the same.

        Only missing readings and readings beyond the clamp are seen differently afterwards.
        """
        old = self.normaliser
        shift_C, scale_C = (mean_C - old.mean_C) / old.std_C, std_C / old.std_C
        for weight_HCk, bias_H in self.trunk.input_layers:
            per_feature = (1, -1) + (1,) * (weight_HCk.dim() - 2)
            bias_H.add_((weight_HCk * shift_C.view(per_feature)).flatten(1).sum(1))
            weight_HCk.mul_(scale_C.view(per_feature))
        old.mean_C.copy_(mean_C)
        old.std_C.copy_(std_C)

    @torch.no_grad()
    def renormalise_target(self, mean_O: Tensor, std_O: Tensor) -> None:
        """Take another mean and deviation of the targets and fold the change into the heads."""
        old_std, shift, std = (t.repeat(self.heads) for t in (self.target_std, self.target_mean - mean_O, std_O))
        self.head.bias.mul_(old_std).add_(shift).div_(std)
        self.head.weight.mul_((old_std / std)[:, None])
        self.target_mean.copy_(mean_O)
        self.target_std.copy_(std_O)


def build_trunk(config: ModelConfig, features: int) -> Trunk:
    """The trunk of a configuration's architecture."""
    match config:
        case MlpConfig():
            return Mlp(config, features)
        case CnnConfig():
            return Cnn(config, features)
        case LstmConfig():
            return Lstm(config, features)
        case GruConfig():
            return Gru(config, features)
        case CnnLstmConfig():
            return CnnLstm(config, features)


def build_network(config: ModelConfig, features: int, outputs: int, task: Task, heads: int = 1) -> Network:
    """A fresh network, initialised from torch's global generator.

    Raises ValueError for numbers of features, outputs or heads that make no network.
    """
    least = 2 if task == "classification" else 1
    if features < 1 or heads < 1 or outputs < least:
        raise ValueError(
            f"no {task} network has {features} features, {outputs} outputs and {heads} heads: "
            f"classification needs two classes or more, regression one value or more"
        )
    return Network(config, features, outputs, task, heads)


@torch.no_grad()
def collapse(network: Network, weights: Sequence[float]) -> Network:
    """The network whose one head is the weighted sum of all heads: the same function, as heads are linear.

    weights: one for each head, summing to one.
    """
    assert len(weights) == network.heads, f"{len(weights)} weights for {network.heads} heads"
    weights_K = torch.tensor(weights, dtype=torch.float64)
    return _with_heads(network, torch.einsum("k,nko->no", weights_K, _stacked_heads(network))[:, None])


@torch.no_grad()
def copy_head(network: Network, heads: int) -> Network:
    """The network with its one head repeated."""
    assert network.heads == 1, "only a single head is copied"
    return _with_heads(network, _stacked_heads(network).expand(-1, heads, -1))


def _stacked_heads(network: Network) -> Tensor:
    """Weights, then the bias, of all heads in float64: (H + 1, K, O)."""
    stacked = torch.cat([network.head.weight.T, network.head.bias[None]]).double()
    return stacked.view(-1, network.heads, network.outputs)


def _with_heads(network: Network, stacked_HKO: Tensor) -> Network:
    heads = stacked_HKO.shape[1]
    parameters = stacked_HKO.reshape(-1, heads * network.outputs).float()
    other = deepcopy(network)
    other.heads = heads
    other.head = nn.Linear(network.trunk.width, heads * network.outputs, device="meta").to_empty(device="cpu")
    other.head.weight.copy_(parameters[:-1].T)
    other.head.bias.copy_(parameters[-1])
    return other
