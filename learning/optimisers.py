"""The optimisers, in their fused form."""

from collections.abc import Callable, Iterable, Mapping
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch.nn import Parameter

from data.config import Config


class AdamW(Config):
    """Adam with decoupled weight decay (Loshchilov & Hutter 2019)."""

    kind: Literal["adamw"] = "adamw"


class Sgd(Config):
    """Stochastic gradient descent with momentum."""

    kind: Literal["sgd"] = "sgd"
    momentum: float = Field(default=0.9, ge=0, lt=1)


OptimiserConfig = Annotated[AdamW | Sgd, Field(discriminator="kind")]


def make_optimiser(
    parameters: Iterable[Parameter], config: OptimiserConfig, learning_rate: float, weight_decay: float
) -> torch.optim.Optimizer:
    """One group of parameters; fused, which alone makes an MLP's step 1.3 to 1.6 times faster."""
    if isinstance(config, Sgd):
        return torch.optim.SGD(
            list(parameters), lr=learning_rate, momentum=config.momentum, weight_decay=weight_decay, fused=True
        )
    return torch.optim.AdamW(list(parameters), lr=learning_rate, weight_decay=weight_decay, fused=True)


def optimiser_tensors(optimiser: torch.optim.Optimizer) -> dict[str, torch.Tensor]:
    """What it remembers of each parameter, by the parameter's place: what its checkpoint holds."""
    slots = optimiser.state_dict()["state"].items()
    return {f"{i}.{key}": value for i, values in slots for key, value in values.items() if value is not None}


def restore_optimiser(optimiser: torch.optim.Optimizer, tensors: Mapping[str, torch.Tensor]) -> None:
    """Let it remember what `optimiser_tensors` gave."""
    slots: dict[int, dict[str, torch.Tensor]] = {}
    for name, tensor in tensors.items():
        place, key = name.split(".", 1)
        slots.setdefault(int(place), {})[key] = tensor
    optimiser.load_state_dict({"state": slots, "param_groups": optimiser.state_dict()["param_groups"]})


def gradient_step(optimiser: torch.optim.Optimizer) -> Callable[[], None]:
    """The optimiser's step; for AdamW one call of its fused kernel, without the bookkeeping of `step`.

    It gives the same weights and the same state to the bit, and a small network's step takes three quarters of the
    time. torch has no public name for the kernel, but is pinned, and a test holds this to the optimiser's own step. The
    optimiser's state must not be replaced once the first step was made.
    """
    if not isinstance(optimiser, torch.optim.AdamW):
        return optimiser.step
    parameters: list[Parameter] = optimiser.param_groups[0]["params"]
    tensors, slots = list[torch.Tensor](parameters), list[list[torch.Tensor]]()

    @torch.no_grad()
    def step() -> None:
        if not slots:
            slots.extend(_slots(optimiser, parameters))
        moments, squares, steps = slots
        gradients = [p.grad for p in parameters if p.grad is not None]
        assert len(gradients) == len(parameters), "every parameter has its gradient"
        (group,) = optimiser.param_groups  # another one after a resume
        torch._foreach_add_(steps, 1)  # pyright: ignore[reportPrivateUsage]
        torch._fused_adamw_(  # pyright: ignore[reportPrivateUsage]
            tensors,
            gradients,
            moments,
            squares,
            [],
            steps,
            lr=group["lr"],
            beta1=group["betas"][0],
            beta2=group["betas"][1],
            weight_decay=group["weight_decay"],
            eps=group["eps"],
            amsgrad=False,
            maximize=False,
        )

    return step


def _slots(optimiser: torch.optim.Optimizer, parameters: Iterable[Parameter]) -> list[list[torch.Tensor]]:
    """The moments and the number of steps of each parameter, begun where they are not there yet."""
    for parameter in parameters:
        state = optimiser.state[parameter]
        if not state:
            state["step"] = torch.zeros((), dtype=torch.float32)
            state["exp_avg"], state["exp_avg_sq"] = torch.zeros_like(parameter), torch.zeros_like(parameter)
    return [[optimiser.state[p][key] for p in parameters] for key in ("exp_avg", "exp_avg_sq", "step")]
