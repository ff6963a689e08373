"""Plants that learn together: four sensors, three classes or a value, and rows that differ from plant to plant."""

import numpy as np
from numpy.typing import NDArray

from learning.config import TrainingConfig
from models.config import MlpConfig

Arrays = tuple[NDArray[np.float32], NDArray[np.generic]]

MODEL = MlpConfig(hidden_units=[16], dropout=0.0)
TRAINING = TrainingConfig(batch_size=32, learning_rate=1e-2)
_RULE = np.random.default_rng(99).normal(size=(4, 3))


def plant(seed: int, rows: int = 150, shift: float = 0.5, favourite: int | None = None) -> Arrays:
    """Readings around a point of the plant's own, and classes; favourite: the class that it mostly makes."""
    rng = np.random.default_rng(seed)
    readings = rng.normal(size=(4 * rows, 4)) + shift * rng.normal(size=4)
    classes = (readings @ _RULE).argmax(1)
    chances = np.ones(len(classes)) if favourite is None else np.where(classes == favourite, 1.0, 0.05)
    chosen = rng.choice(len(classes), rows, replace=False, p=chances / chances.sum())
    return readings[chosen].astype(np.float32), classes[chosen]


def plants(count: int, rows: int = 150, skewed: bool = False) -> list[Arrays]:
    """Several of them; skewed: each mostly makes one class."""
    return [plant(seed, rows, favourite=seed % 3 if skewed else None) for seed in range(count)]


def accuracy(probabilities: NDArray[np.float32], classes: NDArray[np.generic]) -> float:
    return float((probabilities.argmax(1) == classes).mean())


def unseen(rows: int = 1000) -> Arrays:
    return plant(1000, rows, shift=0.0)
