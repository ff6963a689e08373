"""All that a training changes as it goes on: what its checkpoint must hold."""

import math
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Generic, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from learning.averaging import MovingAverage
from learning.config import TrainingConfig
from learning.metrics import EpochMetrics
from learning.representation_config import RepresentationConfig
from models.network import Network

ConfigT = TypeVar("ConfigT", TrainingConfig, RepresentationConfig)


@dataclass
class Best:
    """The weights of the epoch with the lowest validation loss, and when a loss was last lower by `min_delta`."""

    loss: float = math.inf
    epoch: int = 0
    better_loss: float = math.inf
    better_epoch: int = 0
    weights: dict[str, Tensor] | None = None

    def note(self, network: nn.Module, loss: float, epoch: int, min_delta: float) -> None:
        """Look at the network as it was validated after an epoch."""
        if loss < self.loss:
            self.loss, self.epoch, self.weights = loss, epoch, deepcopy(network.state_dict())
        if loss < self.better_loss - min_delta:
            self.better_loss, self.better_epoch = loss, epoch


class Ending(Generic[ConfigT]):
    """How a training ends, whatever it trains: it is stopped, its epochs are over, or nothing gets better any more."""

    config: ConfigT
    history: list[EpochMetrics]
    best: Best
    average: MovingAverage | None
    stopped: str | None

    @property
    def epochs(self) -> int:
        """So many at most."""
        return self.config.epochs

    def stop(self, outcome: str) -> None:
        """End the training before its next batch: `paused` or `cancelled`."""
        self.stopped = outcome

    def serve(self, network: nn.Module) -> None:
        """Let its network be as it is served: the best that was validated; where nothing was, the moving average."""
        if self.best.weights is not None:
            network.load_state_dict(self.best.weights)
        elif self.average is not None:
            self.average.swap()

    @property
    def outcome(self) -> str | None:
        """How the training ended; None while there is something left to do."""
        if self.stopped is not None:
            return self.stopped
        if len(self.history) >= self.epochs:
            return "completed"
        waits = len(self.history) - self.best.better_epoch
        return "stopped_early" if self.best.epoch > 0 and waits >= self.config.patience else None


@dataclass
class TrainingState(Ending[TrainingConfig]):
    """A training at one moment, between two batches.

    seed: from it the order of each epoch follows. epoch: the one at work, from 1. step: its finished batches. loss: of
    the latest batch. loss_sum, correct, seen: over the epoch's samples. seconds: of the epoch before a resume.
    """

    network: Network
    optimiser: torch.optim.Optimizer
    config: TrainingConfig
    seed: int
    average: MovingAverage | None = None
    epoch: int = 1
    step: int = 0
    loss: float = math.nan
    loss_sum: float = 0.0
    correct: int = 0
    seen: int = 0
    seconds: float = 0.0
    samples_learned: int = 0
    history: list[EpochMetrics] = field(default_factory=list[EpochMetrics])
    best: Best = field(default_factory=Best)
    stopped: str | None = None

    def generator(self, epoch: int) -> torch.Generator:
        """The randomness that belongs to an epoch's order; 0: to what is held back."""
        entropy = int(np.random.SeedSequence([self.seed, epoch]).generate_state(1, np.uint64)[0])
        return torch.Generator().manual_seed(entropy)

    def end_epoch(self) -> None:
        """Go on to the next epoch's first batch."""
        self.epoch, self.step = self.epoch + 1, 0
        self.loss_sum, self.correct, self.seen, self.seconds = 0.0, 0, 0, 0.0
