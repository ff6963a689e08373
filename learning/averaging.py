"""A moving average of the weights."""

from collections.abc import Generator, Iterable
from contextlib import contextmanager

import torch
from torch import Tensor
from torch.nn import Parameter


class MovingAverage:
    """Exponential moving average of parameters (Polyak & Juditsky 1992): average ← decay·average + (1−decay)·now."""

    def __init__(self, parameters: Iterable[Parameter], decay: float) -> None:
        self.parameters: list[Tensor] = list(parameters)
        self.decay = decay
        self.averages = [p.detach().clone() for p in self.parameters]

    @torch.no_grad()
    def update(self) -> None:
        """Take the weights of one more step into the average."""
        torch._foreach_lerp_(self.averages, self.parameters, 1 - self.decay)  # pyright: ignore[reportPrivateUsage]

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
        """The average, by the parameter's place."""
        return {str(i): average for i, average in enumerate(self.averages)}

    def restore(self, state: dict[str, Tensor]) -> None:
        """Go on from what `state` gave."""
        for i, average in enumerate(self.averages):
            average.copy_(state[str(i)])
