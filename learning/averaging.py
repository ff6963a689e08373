"""A moving average of the weights."""

from collections.abc import Generator, Iterable
from contextlib import contextmanager

import torch
from torch import Tensor
from torch.nn import Parameter


class MovingAverage:
    """Exponential moving average of parameters (Polyak & Juditsky 1992): average ← decay·average + (1−decay)·now.

    After n updates the decay is no more than (1 + n) / (10 + n), as TensorFlow's: a training of few steps, or an early
    look at one, would else be served fresh weights.
    """

    def __init__(self, parameters: Iterable[Parameter], decay: float) -> None:
        self.parameters: list[Tensor] = list(parameters)
        self.decay = decay
        self.averages = [p.detach().clone() for p in self.parameters]
        self.updates = 0

    @torch.no_grad()
    def update(self) -> None:
        """Take the weights of one more step into the average."""
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
        torch._foreach_lerp_(self.averages, self.parameters, 1 - decay)  # pyright: ignore[reportPrivateUsage]
        self.updates += 1

    @contextmanager
    def in_place(self) -> Generator[None]:
        """Inside, the parameters hold the average."""
        self.swap()
        try:
            yield
        finally:
            self.swap()

    @torch.no_grad()
    def swap(self) -> None:
        """Exchange the weights and their average."""
        for parameter, average in zip(self.parameters, self.averages, strict=True):
            held = parameter.detach().clone()
            parameter.copy_(average)
            average.copy_(held)

    def state(self) -> dict[str, Tensor]:
        """The average, by the parameter's place, and of how many updates it is."""
        return {"updates": torch.tensor(self.updates), **{str(i): average for i, average in enumerate(self.averages)}}

    def restore(self, state: dict[str, Tensor]) -> None:
        """Go on from what `state` gave."""
        self.updates = int(state["updates"])
        for i, average in enumerate(self.averages):
            average.copy_(state[str(i)])
