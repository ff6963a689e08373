"""Where a training computes: the plain CPU, or through Lightning Fabric a GPU, half precision, several devices.

Fabric's wrappers cost more than a small network's step, so the plain CPU in full precision goes without them.
"""

from collections.abc import Callable
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from learning.config import TrainingConfig
from learning.optimisers import gradient_step
from models.network import Network

Forward = Callable[[Tensor], Tensor]
"""Normalised inputs → (B, K, O)."""

PRECISIONS = {"fp32": "32-true", "bf16": "bf16-mixed", "fp16": "16-mixed"}


class Engine(Protocol):
    """The device, which part of each batch is this process's, and the passes of one gradient step."""

    device: torch.device
    rank: int
    processes: int

    def prepare(self, network: Network, optimiser: torch.optim.Optimizer) -> Forward:
        """Take network and optimiser to the device; returns what the training calls."""
        ...

    def backward(self, loss: Tensor) -> None: ...

    def step(self, clip_norm: float | None) -> None: ...

    def agree(self, stopped: str | None) -> str | None:
        """What the first process says, in all of them."""
        ...

    def total(self, *numbers: float) -> list[float]:
        """Each number's sum over all processes."""
        ...

    def state(self) -> dict[str, Any]:
        """The gradient scaler's state, as JSON."""
        ...

    def restore(self, state: dict[str, Any]) -> None: ...


class PlainEngine:
    """The CPU in full precision."""

    device = torch.device("cpu")
    rank, processes = 0, 1

    def prepare(self, network: Network, optimiser: torch.optim.Optimizer) -> Forward:
        self._parameters = [p for group in optimiser.param_groups for p in group["params"]]
        self._step = gradient_step(optimiser)
        return network.normalised_outputs

    def backward(self, loss: Tensor) -> None:
        gradients = torch.autograd.grad(loss, self._parameters)
        for parameter, gradient in zip(self._parameters, gradients, strict=True):
            parameter.grad = gradient

    def step(self, clip_norm: float | None) -> None:
        if clip_norm is not None:
            torch.nn.utils.clip_grad_norm_(self._parameters, clip_norm)
        self._step()

    def agree(self, stopped: str | None) -> str | None:
        return stopped

    def total(self, *numbers: float) -> list[float]:
        return list(numbers)

    def state(self) -> dict[str, Any]:
        return {}

    def restore(self, state: dict[str, Any]) -> None:
        assert not state, "the plain engine has no state"


class FabricEngine:
    """Any device, precision and number of processes that Lightning Fabric knows."""

    def __init__(self, fabric: Any) -> None:
        self._fabric = fabric
        self.device: torch.device = fabric.device
        self.rank: int = fabric.global_rank
        self.processes: int = fabric.world_size

    def prepare(self, network: Network, optimiser: torch.optim.Optimizer) -> Forward:
        self._module, self._optimiser = self._fabric.setup(_Trainable(network), optimiser)
        return self._module

    def backward(self, loss: Tensor) -> None:
        self._optimiser.zero_grad()
        self._fabric.backward(loss)

    def step(self, clip_norm: float | None) -> None:
        if clip_norm is not None:
            self._fabric.clip_gradients(self._module, self._optimiser, max_norm=clip_norm)
        self._optimiser.step()

    def agree(self, stopped: str | None) -> str | None:
        return self._fabric.broadcast(stopped)

    def total(self, *numbers: float) -> list[float]:
        if self.processes == 1:
            return list(numbers)
        return self._fabric.all_reduce(torch.tensor(numbers, dtype=torch.float64), reduce_op="sum").tolist()

    def state(self) -> dict[str, Any]:
        return self._fabric.strategy.precision.state_dict()

    def restore(self, state: dict[str, Any]) -> None:
        self._fabric.strategy.precision.load_state_dict(state)


class _Trainable(nn.Module):
    """What Fabric wraps: its forward is the network's training pass."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network

    def forward(self, normalised: Tensor) -> Tensor:
        return self.network.normalised_outputs(normalised)


def is_plain(config: TrainingConfig) -> bool:
    """Whether the configuration asks for one CPU process in full precision."""
    return config.device == "cpu" and config.precision == "fp32" and config.devices == 1


def open_fabric(config: TrainingConfig) -> Any:
    """A Lightning Fabric for the configured device, precision and number of processes, not yet launched.

    Raises ValueError for a device that this machine lacks, and for fp16 on the CPU.
    """
    from lightning_fabric import Fabric  # a second of imports that the plain engine does without

    _check_device(config)
    strategy = "auto" if config.devices == 1 else "ddp_spawn"
    precision: Any = PRECISIONS[config.precision]
    return Fabric(accelerator=config.device, devices=config.devices, strategy=strategy, precision=precision)


def _check_device(config: TrainingConfig) -> None:
    found = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True, "auto": True}
    if not found[config.device]:
        there = [name for name in ("cpu", "cuda", "mps") if found[name]]
        raise ValueError(f"training.device: this machine has no {config.device}; it has {', '.join(there)}")
    if config.device == "cuda" and config.devices > torch.cuda.device_count():
        raise ValueError(f"training.devices: {config.devices} asked for, this machine has {torch.cuda.device_count()}")
    if config.precision == "fp16" and not (torch.cuda.is_available() and config.device in ("cuda", "auto")):
        raise ValueError("training.precision: fp16 needs a CUDA device; allowed on the CPU are fp32 and bf16")
