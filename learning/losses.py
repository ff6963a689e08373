"""Losses of heads. Shapes: B samples, K heads, O outputs."""

from collections.abc import Callable
from functools import partial
from typing import Annotated, Literal

from pydantic import Field
from torch import Tensor
from torch.nn import functional

from data.config import Config, Task


class CrossEntropy(Config):
    """For classes."""

    kind: Literal["cross_entropy"] = "cross_entropy"
    label_smoothing: float = Field(default=0.0, ge=0, lt=1)


class Focal(Config):
    """For classes of which many samples are easy: (1 − p)^γ · cross-entropy (Lin et al. 2017)."""

    kind: Literal["focal"] = "focal"
    gamma: float = Field(default=2.5, ge=0)
    label_smoothing: float = Field(default=0.0, ge=0, lt=1)


class SquaredError(Config):
    """For values: their mean is learned."""

    kind: Literal["mse"] = "mse"


class Huber(Config):
    """For values with outliers: squared up to `delta` deviations, linear beyond."""

    kind: Literal["huber"] = "huber"
    delta: float = Field(default=1.0, gt=0)


class Quantile(Config):
    """For values of which a quantile is asked (the pinball loss of Koenker & Bassett 1978)."""

    kind: Literal["quantile"] = "quantile"
    level: float = Field(default=0.5, gt=0, lt=1)


LossConfig = Annotated[CrossEntropy | Focal | SquaredError | Huber | Quantile, Field(discriminator="kind")]

Loss = Callable[[Tensor, Tensor, Tensor | None], Tensor]
"""Outputs (B, K, O), targets (B,) or (B, O), shares (B, K) or None → the mean over samples and heads.

Shares say how much each sample counts for each head; None: all the same, one head.
"""

_SampleLoss = Callable[[Tensor, Tensor], Tensor]
"""Outputs (N, O), targets (N,) or (N, O) → (N,), weighted by class where weights are given."""


def losses_for(task: Task) -> tuple[str, ...]:
    """The kinds of loss that fit a task."""
    return ("cross_entropy", "focal") if task == "classification" else ("mse", "huber", "quantile")


def make_loss(config: LossConfig | None, task: Task, class_weights_O: Tensor | None = None) -> Loss:
    """The loss of a configuration; None: cross-entropy for classes, squared error for values.

    class_weights_O: with them a mean is weighted by the targets' classes. Raises ValueError for a loss that does not
    fit the task, and for class weights of values.
    """
    config = config or (CrossEntropy() if task == "classification" else SquaredError())
    if config.kind not in losses_for(task):
        raise ValueError(f"the loss {config.kind} does not fit {task}; allowed are {', '.join(losses_for(task))}")
    if task == "regression" and class_weights_O is not None:
        raise ValueError("class weights fit classification only")
    of_one_head, of_samples = _forms(config, class_weights_O)

    def loss(outputs_BKO: Tensor, targets: Tensor, shares_BK: Tensor | None) -> Tensor:
        if shares_BK is None:
            return of_one_head(outputs_BKO.flatten(1), targets)
        repeated = targets.repeat_interleave(outputs_BKO.shape[1], dim=0)
        return (of_samples(outputs_BKO.flatten(0, 1), repeated).view_as(shares_BK) * shares_BK).mean()

    return loss


def _forms(config: LossConfig, weights_O: Tensor | None) -> tuple[Callable[[Tensor, Tensor], Tensor], _SampleLoss]:
    """The mean over samples of one head, as one call of torch where there is one, and the loss of each sample."""
    match config:
        case CrossEntropy(label_smoothing=smoothing):

            def mean_entropy(logits_BO: Tensor, targets_B: Tensor) -> Tensor:
                return functional.cross_entropy(logits_BO, targets_B, weights_O, label_smoothing=smoothing)

            def entropies(logits_NO: Tensor, targets_N: Tensor) -> Tensor:
                return functional.cross_entropy(
                    logits_NO, targets_N, weights_O, reduction="none", label_smoothing=smoothing
                )

            return mean_entropy, entropies
        case Focal():
            return _mean_focal(config, weights_O), _focal_losses(config, weights_O)
        case SquaredError():
            return lambda o, t: functional.mse_loss(o, t.view_as(o)), _each(functional.mse_loss)
        case Huber(delta=delta):
            return (
                lambda o, t: functional.huber_loss(o, t.view_as(o), delta=delta),
                _each(partial(functional.huber_loss, delta=delta)),
            )
        case Quantile(level=level):
            return lambda o, t: _pinball(o, t.view_as(o), level).mean(), lambda o, t: _pinball(
                o, t.view_as(o), level
            ).mean(1)


def _each(loss: Callable[..., Tensor]) -> _SampleLoss:
    return lambda outputs_NO, targets: loss(outputs_NO, targets.view_as(outputs_NO), reduction="none").mean(1)


def _pinball(outputs: Tensor, targets: Tensor, level: float) -> Tensor:
    missing = targets - outputs
    return (level * missing).maximum((level - 1) * missing)


def _focal_losses(config: Focal, weights_O: Tensor | None) -> _SampleLoss:
    def losses(logits_NO: Tensor, targets_N: Tensor) -> Tensor:
        entropy_N = functional.cross_entropy(
            logits_NO, targets_N, weights_O, reduction="none", label_smoothing=config.label_smoothing
        )
        true_log_N = logits_NO.log_softmax(1).gather(1, targets_N[:, None])[:, 0]
        # The largest probability below one keeps the factor's gradient finite for γ < 1.
        return (1 - true_log_N.exp()).clamp_min(1e-7) ** config.gamma * entropy_N

    return losses


def _mean_focal(config: Focal, weights_O: Tensor | None) -> Callable[[Tensor, Tensor], Tensor]:
    losses = _focal_losses(config, weights_O)

    def mean(logits_BO: Tensor, targets_B: Tensor) -> Tensor:
        total = losses(logits_BO, targets_B)
        return total.mean() if weights_O is None else total.sum() / weights_O[targets_B].sum()

    return mean
