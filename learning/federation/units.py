"""Units that nodes share: counts, sums and sums of squares leave a node, and nothing else of its rows.

Shapes: N rows, C sensors, O outputs, S = C + O.
"""

import numpy as np
import torch
from numpy.typing import NDArray

from data.samples import Samples
from learning.federation.config import GivenUnits
from models.network import Network

Sums = NDArray[np.float64]


def sums_of(samples: Samples, outputs: int, has_values: bool, counted: bool = False) -> Sums:
    """(3, C + O): how many readings there are, their sum, and the sum of their squares.

    Of classes nothing; counted: how many rows have them.
    """
    targets_3O = np.zeros((3, outputs))
    if has_values:
        targets_3O = _sums(samples.targets_B.double().view(len(samples), -1).numpy())
    elif counted:
        targets_3O[0] = torch.bincount(samples.targets_B, minlength=outputs).numpy()
    return np.concatenate([_sums(samples.rows_NC.double().numpy()), targets_3O], axis=1)


def put_sums(network: Network, sums_3S: Sums) -> None:
    """Let the network have the units that the sums over all nodes say."""
    count_S, total_S, squares_S = sums_3S
    mean_S = total_S / np.maximum(count_S, 1)
    std_S = np.sqrt(np.maximum(squares_S / np.maximum(count_S, 1) - mean_S**2, 0))
    std_S = np.where((count_S == 0) | (std_S <= 1e-6 * np.abs(mean_S) + 1e-12), 1.0, std_S)
    put_units(network, mean_S, std_S)


def put_given(network: Network, sensors: tuple[str, ...], units: GivenUnits) -> None:
    """Let the network have units that were given by a sensor's name; raises ValueError for a name that is none."""
    if unknown := ({*units.mean} | {*units.std}) - {*sensors}:
        raise ValueError(f"units: there is no sensor {', '.join(sorted(unknown))}; there are {', '.join(sensors)}")
    values = network.task == "regression"
    mean_O = [units.target_mean if values else 0.0] * network.outputs
    std_O = [units.target_std if values else 1.0] * network.outputs
    mean_S = np.array([units.mean.get(s, 0.0) for s in sensors] + mean_O)
    put_units(network, mean_S, np.array([units.std.get(s, 1.0) for s in sensors] + std_O))


def put_units(network: Network, mean_S: Sums, std_S: Sums) -> None:
    """Means and deviations of the sensors, then of the outputs."""
    sensors = network.features
    network.normaliser.mean_C.numpy()[:] = mean_S[:sensors]
    network.normaliser.std_C.numpy()[:] = std_S[:sensors]
    network.target_mean.numpy()[:] = mean_S[sensors:]
    network.target_std.numpy()[:] = std_S[sensors:]


def units_of(network: Network) -> tuple[Sums, Sums]:
    """What `put_units` takes."""
    mean_S = torch.cat([network.normaliser.mean_C, network.target_mean]).double().numpy()
    return mean_S, torch.cat([network.normaliser.std_C, network.target_std]).double().numpy()


def _sums(values: NDArray[np.float64]) -> Sums:
    known = np.isfinite(values)
    filled = np.where(known, values, 0.0)
    return np.stack([known.sum(0).astype(np.float64), filled.sum(0), (filled**2).sum(0)])
