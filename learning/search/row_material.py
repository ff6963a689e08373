"""Rows to search on: networks over samples, scored on blocks of them spread over time.

Shapes: B samples, K classes.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import numpy as np
import torch
from numpy.typing import NDArray

from data.config import Task
from data.samples import Samples
from learning.config import TrainingConfig
from learning.fitting import fit
from learning.metrics import Training
from learning.normalisation import fit_normalisers
from learning.randomness import seeded
from learning.resume import Checkpoints
from learning.search.template import Keys
from learning.search.trainings import Look, TooLittleError
from learning.validation import split_blocks
from models.config import ModelConfig
from models.network import Network, build_network

HELD_OUT_BLOCKS, HELD_OUT_EVERY = 25, 5
LEAST_SAMPLES, LEAST_LEARNED = 50, 10
SCORED_AT_ONCE = 4096

_NETWORKS: tuple[type[Any], ...] = get_args(get_args(ModelConfig)[0])
ROW_KEYS: Keys[Any, TrainingConfig] = Keys(
    {network.model_fields["architecture"].default: network for network in _NETWORKS}, TrainingConfig
)

Score = Callable[[NDArray[np.float32], NDArray[Any]], float]
"""Class probabilities (B, K) or values (B,), and class numbers or values (B,), to a score."""

Exported = Callable[[Network, int], Mapping[str, float]]
"""A trained network and its window's length, to `latency_ms` and `size_mb` of its exported file."""


@dataclass(frozen=True)
class RowMaterial:
    """Samples, their task, how many outputs it takes, how predictions are scored and exported networks measured."""

    samples: Samples
    task: Task
    outputs: int
    score: Score
    exported: Exported

    def __len__(self) -> int:
        return len(self.samples)

    def contents(self) -> Iterator[bytes]:
        """The samples, and what they are for."""
        yield repr((self.samples.length, tuple(self.samples.rows_NC.shape), self.task, self.outputs)).encode()
        for tensor in (self.samples.rows_NC, self.samples.starts_B, self.samples.targets_B):
            yield tensor.contiguous().numpy().tobytes()

    def split(self, seed: int) -> "RowSplit":
        """What trials learn from, and a fifth in blocks spread over time that they are scored on."""
        if len(self) < LEAST_SAMPLES:
            raise TooLittleError(f"training_data: {len(self)} samples are too few to tune on; {LEAST_SAMPLES} at least")
        parts = split_blocks(self.samples, HELD_OUT_BLOCKS, HELD_OUT_EVERY, seed % HELD_OUT_EVERY)
        if len(parts[0]) < LEAST_LEARNED:
            raise TooLittleError(
                f"training_data: of {len(self)} windows of {self.samples.length} rows {len(parts[0])} touch nothing of "
                f"what is held out, too few to learn from; {LEAST_LEARNED} at least: give more rows, or shorter windows"
            )
        return RowSplit(*parts, self)


@dataclass(frozen=True)
class RowSplit:
    """What is learned from, and what is held out."""

    train: Samples
    held_out: Samples
    of: RowMaterial

    def learn(
        self, model: ModelConfig, training: TrainingConfig, look: Look, checkpoints: Path
    ) -> tuple[Network, Training]:
        """A network from its checkpoint, or from fresh weights."""
        training = training.model_copy(update={"threads": training.threads or 1})
        with seeded(training.seed, 0):
            network = build_network(model, self.train.rows_NC.shape[1], self.of.outputs, self.of.task)
            fit_normalisers(network, self.train)
            return network, fit(network, self.train, training, [look], Checkpoints(checkpoints))

    def score(self, network: Network) -> float:
        """Of the predictions for what was held out."""
        predictions = predict(network, self.held_out)
        if not np.isfinite(predictions).all():
            raise FloatingPointError("its predictions are not finite")
        return self.of.score(predictions, self.held_out.targets_B.numpy())

    def exported(self, network: Network) -> Mapping[str, float]:
        """What its file costs."""
        return self.of.exported(network, self.train.length)


@torch.no_grad()
def predict(network: Network, samples: Samples) -> NDArray[np.float32]:
    """Class probabilities (B, K) or values (B,) of a network with one head."""
    network.eval()
    parts = torch.arange(len(samples)).split(SCORED_AT_ONCE)
    return torch.cat([network(samples.inputs(part)) for part in parts]).numpy()
