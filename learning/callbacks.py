"""The events of a training, and who listens to them."""

from collections.abc import Callable, Iterable, Sequence
from typing import Protocol, TypeVar

from torch import nn

from learning.metrics import EpochMetrics
from learning.state import TrainingState

StateT = TypeVar("StateT")
HeardT = TypeVar("HeardT", contravariant=True)


class Followed(Protocol):
    """What any training shows of itself, whatever it trains."""

    @property
    def history(self) -> Sequence[EpochMetrics]:
        """The epochs that are done."""
        ...

    @property
    def epochs(self) -> int:
        """So many at most."""
        ...

    @property
    def stopped(self) -> str | None:
        """What it was stopped as, if it was."""
        ...

    def stop(self, outcome: str) -> None:
        """End the training before its next batch: `paused` or `cancelled`."""
        ...

    def serve(self, network: nn.Module) -> None:
        """Let its network, once it has ended, be as it would be served."""
        ...


class Listener(Protocol[HeardT]):
    """Listens to a training; every event does nothing unless a subclass says what.

    The whole training, with its events:

        fit_start
        for each epoch that is left:
            epoch_start
            for each batch of the epoch's order that is left:
                batch_start                 # `state.stop("paused")` ends the training before the batch
                outputs, loss, gradients, optimiser's step
                batch_end                   # state.loss is the batch's
            validation_start
            for each batch held back:
                outputs, loss
            epoch_end                       # state.history[-1] are the epoch's metrics
        fit_end                             # also after a pause or an error

    Listeners may read the state and call `state.stop`; what they change else is not in the checkpoint.
    """

    def fit_start(self, state: HeardT) -> None:
        """The training starts, or goes on."""

    def epoch_start(self, state: HeardT) -> None:
        """An epoch starts, or goes on."""

    def batch_start(self, state: HeardT) -> None:
        """A batch is next."""

    def batch_end(self, state: HeardT) -> None:
        """A gradient step was made."""

    def validation_start(self, state: HeardT) -> None:
        """The epoch's batches are done."""

    def epoch_end(self, state: HeardT) -> None:
        """The epoch's metrics are known."""

    def fit_end(self, state: HeardT) -> None:
        """The training has ended, however it did."""


class Callback(Listener[TrainingState], Protocol):
    """Listens to a training of rows."""


EVENTS = ("fit_start", "epoch_start", "batch_start", "batch_end", "validation_start", "epoch_end", "fit_end")


def listeners_of(callbacks: Iterable[Listener[StateT]]) -> dict[str, list[Callable[[StateT], None]]]:
    """For each event the methods that say something; the others cost nothing."""
    chosen: dict[str, list[Callable[[StateT], None]]] = {event: [] for event in EVENTS}
    for callback in callbacks:
        for event in EVENTS:
            if getattr(type(callback), event) is not getattr(Listener, event):
                chosen[event].append(getattr(callback, event))
    return chosen
