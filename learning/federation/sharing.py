"""Which part of a network is shared, as one vector.

Shapes: P shared numbers, C sensors.
"""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from learning.federation.config import Personal
from models.network import Network, build_network

Vector = NDArray[np.float32]
_UNITS = ("normaliser.", "target_")
NO_SENSOR = -1


class SharedPart:
    """Weights and running statistics of a network that nodes share: all but the units, and but what is personal.

    sensor_P: the sensor that a weight of the first layer reads, or -1.
    """

    def __init__(self, network: Network, personal: Sequence[Personal]) -> None:
        stays = (*_UNITS, *(("head.",) if "head" in personal else ()))
        norms = _norms(network) if "norms" in personal else ()
        self._tensors = {
            name: tensor
            for name, tensor in network.state_dict(keep_vars=True).items()
            if tensor.is_floating_point() and not name.startswith(stays) and not name.startswith(norms)
        }
        self._numbers: list[Vector] = [tensor.detach().view(-1).numpy() for tensor in self._tensors.values()]
        self._weights = {name for name, _ in network.named_parameters()}
        self.size = sum(map(len, self._numbers))
        if self.size == 0:
            raise ValueError("federation.personal: nothing is left to share")
        readers = [weight for weight, _ in network.trunk.input_layers]
        self.sensor_P = np.concatenate([_sensors(tensor, readers) for tensor in self._tensors.values()])

    def read(self) -> Vector:
        """The shared numbers as they are now."""
        return np.concatenate(self._numbers)

    def write(self, vector_P: Vector) -> None:
        """Put the numbers into the network."""
        at = 0
        for numbers in self._numbers:
            numbers[:] = vector_P[at : at + len(numbers)]
            at += len(numbers)

    def parameters(self, vector_P: Vector) -> dict[str, Tensor]:
        """The part of a vector that belongs to weights, by name."""
        parts = torch.from_numpy(vector_P.astype(np.float32)).split([len(numbers) for numbers in self._numbers])
        named = zip(self._tensors.items(), parts, strict=True)
        return {name: part.view_as(tensor) for (name, tensor), part in named if name in self._weights}

    def known_to(self, has_C: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Which of the numbers a node with these sensors can learn anything about."""
        return np.where(self.sensor_P == NO_SENSOR, True, has_C[self.sensor_P])


@torch.no_grad()
def with_sensors(network: Network, chosen: Sequence[int]) -> Network:
    """The same function of some sensors, where all others are missing."""
    other = build_network(network.config, len(chosen), network.outputs, network.task, network.heads)
    readers = [weight for weight, _ in network.trunk.input_layers]
    for name, tensor in network.state_dict(keep_vars=True).items():
        by_sensor = 1 if any(tensor is weight for weight in readers) else 0 if name.startswith("normaliser.") else None
        part = tensor if by_sensor is None else tensor.index_select(by_sensor, torch.tensor(chosen))
        other.state_dict()[name].copy_(part)
    return other.eval()


def _norms(network: Network) -> tuple[str, ...]:
    kinds = (torch.nn.BatchNorm1d, torch.nn.LayerNorm, torch.nn.GroupNorm)
    return tuple(f"{name}." for name, module in network.named_modules() if isinstance(module, kinds))


def _sensors(tensor: Tensor, readers: Sequence[Tensor]) -> NDArray[np.int64]:
    if not any(tensor is weight for weight in readers):
        return np.full(tensor.numel(), NO_SENSOR)
    shape = [1, -1] + [1] * (tensor.dim() - 2)
    return np.broadcast_to(np.arange(tensor.shape[1]).reshape(shape), tensor.shape).reshape(-1).astype(np.int64)
