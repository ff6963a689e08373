"""Small streams of samples for the tests of learning."""

import torch
from torch import Tensor

from data.samples import Samples, join_samples
from learning.config import TrainingConfig, UpdateConfig
from learning.plan import LearningPlan
from models.config import CnnConfig, CnnLstmConfig, GruConfig, LstmConfig, MlpConfig, ModelConfig

FEATURES = 3
MODELS: dict[str, ModelConfig] = {
    "mlp": MlpConfig(hidden_units=[16, 8], dropout=0.1),
    "cnn": CnnConfig(channels=[16], kernel_size=3, hidden_units=[16], dropout=0.0),
    "lstm": LstmConfig(units=16, hidden_units=[16], dropout=0.0),
    "gru": GruConfig(units=16, hidden_units=[16], dropout=0.0, bidirectional=True),
    "cnn_lstm": CnnLstmConfig(channels=[16], kernel_size=3, units=16, hidden_units=[16], dropout=0.0),
}
LENGTHS = {"mlp": 1, "cnn": 4, "lstm": 4, "gru": 4, "cnn_lstm": 4}


def make_plan(strategy: UpdateConfig, architecture: str, task: str, epochs: int = 20) -> LearningPlan:
    training = TrainingConfig(epochs=epochs, batch_size=32, learning_rate=1e-2)
    return LearningPlan(MODELS[architecture], training, strategy, task, 2 if task == "classification" else 1)  # pyright: ignore


def make_batch(number: int, task: str, length: int = 1, count: int = 200, turned: bool = False) -> Samples:
    """A batch whose target depends on its window's mean; `turned` reverses what the features mean."""
    generator = torch.Generator().manual_seed(number)
    rows_NC = 5 + 3 * torch.randn(count + length - 1, FEATURES, generator=generator)
    samples = Samples(rows_NC, torch.arange(count), length, torch.zeros(count), torch.full((count,), number))
    return Samples(rows_NC, samples.starts_B, length, _targets(samples.inputs(), task, turned), samples.batches_B)


def make_history(numbers: range, task: str, length: int = 1) -> Samples:
    return join_samples([make_batch(number, task, length) for number in numbers])


def _targets(inputs: Tensor, task: str, turned: bool) -> Tensor:
    signal_B = inputs.reshape(inputs.shape[0], -1, FEATURES).mean(1) @ torch.tensor([1.0, -1.0, 0.5]) - 2.5
    signal_B = -signal_B if turned else signal_B
    return (signal_B > 0).long() if task == "classification" else 100 + 10 * signal_B
