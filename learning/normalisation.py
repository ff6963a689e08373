"""Means and deviations of what a network learns from, and samples in those units.

Shapes: N rows, B samples, L window length, C features.
"""

from dataclasses import replace

import torch
from torch import Tensor

from data.samples import Samples
from models.network import Network


def fit_normalisers(network: Network, samples: Samples) -> None:
    """Fit a fresh network's input and target units to the samples."""
    mean_C, std_C, mean, std = _units(network, samples, torch.ones(len(samples)))
    network.normaliser.mean_C.copy_(mean_C)
    network.normaliser.std_C.copy_(std_C)
    network.target_mean.copy_(mean)
    network.target_std.copy_(std)


def refit_normalisers(network: Network, samples: Samples, weights_B: Tensor | None = None) -> None:
    """Fit the units to the weighted samples and fold the change into the weights: the function stays the same."""
    mean_C, std_C, mean, std = _units(network, samples, torch.ones(len(samples)) if weights_B is None else weights_B)
    network.renormalise_inputs(mean_C, std_C)
    network.renormalise_target(mean, std)


@torch.no_grad()
def normalised(network: Network, samples: Samples) -> Samples:
    """The samples in the network's units, made once so that no training step does it again."""
    rows_NC, targets_B = network.normaliser(samples.rows_NC), samples.targets_B
    if network.task == "regression":
        targets_B = (targets_B - network.target_mean) / network.target_std
    return replace(samples, rows_NC=rows_NC, targets_B=targets_B)


def _units(network: Network, samples: Samples, weights_B: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Mean and deviation of the features (C,), and of the target; classes have no unit: 0 and 1."""
    mean_C, std_C = _moments(samples.rows_NC, _row_weights(samples, weights_B))
    if network.task == "classification":
        return mean_C, std_C, torch.zeros(()), torch.ones(())
    mean_1, std_1 = _moments(samples.targets_B[:, None], weights_B)
    return mean_C, std_C, mean_1[0], std_1[0]


def _row_weights(samples: Samples, weights_B: Tensor) -> Tensor:
    """The weight of each row: the sum over the windows that hold it, without making the windows."""
    edges = torch.zeros(samples.rows_NC.shape[0] + 1, dtype=torch.float64)
    edges.index_add_(0, samples.starts_B, weights_B.double())
    edges.index_add_(0, samples.starts_B + samples.length, -weights_B.double())
    return edges.cumsum(0)[:-1].clamp_min(0)


def _moments(rows_NC: Tensor, weights_N: Tensor) -> tuple[Tensor, Tensor]:
    """Weighted mean and deviation of each column without NaN; mean 0 for an empty one, deviation 1 for a constant."""
    known_NC = rows_NC.isfinite()
    weights_NC = known_NC * weights_N.double()[:, None]
    values_NC = torch.where(known_NC, rows_NC, 0).double()
    total_C = weights_NC.sum(0).clamp_min(1e-12)
    mean_C = (weights_NC * values_NC).sum(0) / total_C
    std_C = ((weights_NC * (values_NC - mean_C).square()).sum(0) / total_C).sqrt()
    constant_C = std_C <= 1e-6 * mean_C.abs() + 1e-12
    return mean_C.float(), torch.where(constant_C, 1.0, std_C).float()
