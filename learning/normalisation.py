"""Means and deviations of what a network learns from.

Shapes: N rows, B samples, L window length, C features, O outputs.
"""

import torch
from torch import Tensor

from data.samples import Samples
from models.network import Network


def fit_normalisers(network: Network, samples: Samples) -> None:
    """Fit a fresh network's input and target units to the samples."""
    mean_C, std_C, mean_O, std_O = _units(network, samples, torch.ones(len(samples)))
    network.normaliser.mean_C.copy_(mean_C)
    network.normaliser.std_C.copy_(std_C)
    network.target_mean.copy_(mean_O)
    network.target_std.copy_(std_O)


def refit_normalisers(network: Network, samples: Samples, weights_B: Tensor | None = None) -> None:
    """Fit the units to the weighted samples and fold the change into the weights: the function stays the same."""
    weights_B = torch.ones(len(samples)) if weights_B is None else weights_B
    mean_C, std_C, mean_O, std_O = _units(network, samples, weights_B)
    network.renormalise_inputs(mean_C, std_C)
    network.renormalise_target(mean_O, std_O)


def normalised_targets(network: Network, samples: Samples) -> Tensor:
    """Values in deviations from their mean, of the same shape; class numbers as they are."""
    if network.task == "classification":
        return samples.targets_B
    return (samples.targets_B - network.target_mean) / network.target_std


def _units(network: Network, samples: Samples, weights_B: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Mean and deviation of the features (C,), and of the targets (O,); classes have no unit: 0 and 1."""
    mean_C, std_C = _moments(samples.rows_NC, _row_weights(samples, weights_B))
    if network.task == "classification":
        return mean_C, std_C, torch.zeros(network.outputs), torch.ones(network.outputs)
    mean_O, std_O = _moments(samples.targets_B.view(len(samples), network.outputs), weights_B)
    return mean_C, std_C, mean_O, std_O


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
