"""What is searched where nobody says what: around the defaults, which suit most sensor data."""

from collections.abc import Mapping
from typing import Any

from learning.search.space import Choice, LogRange, Parameter, Range

_TRAINING: Mapping[str, Parameter] = {
    "learning_rate": LogRange(5e-4, 2e-2),
    "batch_size": Choice([32, 64, 128, 256]),
    "weight_decay": LogRange(1e-4, 1e-1),
    "dropout": Range(0.0, 0.4),
    "ema_decay": Choice([None, 0.99]),
}
_RECURRENT: Mapping[str, Parameter] = {
    "layers": Choice([1, 2]),
    "units": Choice([32, 64, 128]),
    "hidden_units": Choice([[32], [64, 32], [128, 64]]),
}
_CONVOLUTION: Mapping[str, Parameter] = {
    "channels": Choice([[32], [32, 64], [64, 128]]),
    "kernel_size": Choice([3, 5, 7]),
    "hidden_units": Choice([[32], [64, 32], [128, 64]]),
}
DEFAULT_SPACES: Mapping[str, Mapping[str, Any]] = {
    "mlp": {**_TRAINING, "hidden_units": Choice([[32, 16], [64, 32], [128, 64], [256, 128], [128, 128, 64]])},
    "cnn": {**_TRAINING, **_CONVOLUTION},
    "lstm": {**_TRAINING, **_RECURRENT},
    "gru": {**_TRAINING, **_RECURRENT},
    "cnn_lstm": {**_TRAINING, **_CONVOLUTION, **_RECURRENT},
}
"""By architecture."""
