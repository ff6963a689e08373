"""What every trainer is measured on: a network, an optimiser's settings, and random rows or windows with a class.

Shapes: N rows, M samples, B samples of one batch, L window length, C features.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from data.samples import Samples
from learning.normalisation import fit_normalisers
from models.config import CnnConfig, CnnLstmConfig, GruConfig, LstmConfig, MlpConfig, ModelConfig
from models.network import Network, build_network

FEATURES, CLASSES, WINDOW = 20, 4, 32
LEARNING_RATE, WEIGHT_DECAY = 3e-3, 0.01
MODELS: tuple[ModelConfig, ...] = (MlpConfig(), CnnConfig(), LstmConfig(), GruConfig(), CnnLstmConfig())


@dataclass(frozen=True)
class Workload:
    """One network's training at one batch size: an epoch is `steps` full batches."""

    model: ModelConfig
    batch_size: int
    steps: int

    @property
    def length(self) -> int:
        """Of a window; the MLP takes rows."""
        return 1 if self.model.architecture == "mlp" else WINDOW

    def network(self) -> Network:
        """Fresh weights, the same each time."""
        torch.manual_seed(0)
        return build_network(self.model, FEATURES, CLASSES, "classification").train()

    def samples(self) -> Samples:
        """As many windows as an epoch's steps take, whose class their last row tells."""
        count = self.steps * self.batch_size
        generator = torch.Generator().manual_seed(0)
        rows_NC = torch.randn(count + self.length - 1, FEATURES, generator=generator)
        starts_M = torch.arange(count)
        targets_M = rows_NC[starts_M + self.length - 1, :CLASSES].argmax(1)
        return Samples(rows_NC, starts_M, self.length, targets_M, torch.ones(count, dtype=torch.int64))

    def tensors(self) -> tuple[Tensor, Tensor]:
        """The same samples, normalised and as one tensor each: what the peers take."""
        samples, network = self.samples(), self.network()
        fit_normalisers(network, samples)
        return network.normaliser(samples.inputs(torch.arange(len(samples)))), samples.targets_B
