"""What is known about each epoch."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from torch import Tensor


@dataclass(frozen=True)
class EpochMetrics(Mapping[str, Any]):
    """One epoch of a training; it also reads as a dict.

    Losses are in the network's units; accuracies are None for values, and all that is validated where nothing was
    held back. learning_rate: of the epoch's last step. time_per_epoch: seconds.
    """

    epoch: int
    train_loss: float
    train_accuracy: float | None
    val_loss: float | None
    val_accuracy: float | None
    learning_rate: float
    time_per_epoch: float

    def to_dict(self) -> dict[str, Any]:
        """The fields by name."""
        return asdict(self)

    def __getitem__(self, name: str) -> Any:
        if name not in self.__dataclass_fields__:
            raise KeyError(name)
        return getattr(self, name)

    def __iter__(self) -> Iterator[str]:
        return iter(self.__dataclass_fields__)

    def __len__(self) -> int:
        return len(self.__dataclass_fields__)


@dataclass(frozen=True)
class Cost:
    """What learning took: samples that went through a gradient step, and seconds."""

    samples: int
    seconds: float

    def __add__(self, other: "Cost") -> "Cost":
        return Cost(self.samples + other.samples, self.seconds + other.seconds)


@dataclass(frozen=True)
class Training:
    """What a training did besides changing the network.

    outcome: `stopped_early` and `completed` are ends; `paused` goes on from its checkpoint; `cancelled` does not.
    notes: what its user should know.
    """

    history: tuple[EpochMetrics, ...]
    cost: Cost
    outcome: str = "completed"
    notes: tuple[str, ...] = ()


def count_correct(outputs_BKO: Tensor, targets_B: Tensor) -> int:
    """How many samples the first head's outputs (B, K, O) put into their class."""
    return int((outputs_BKO[:, 0].argmax(1) == targets_B).sum())
