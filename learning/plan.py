"""`LearningPlan`: what a pipeline's file and its classes fix about learning."""

import math
from dataclasses import dataclass

from data.config import Task
from learning.blend import HALF_LIVES
from learning.config import HalfLives, TrainingConfig, UpdateConfig
from models.config import ModelConfig


@dataclass(frozen=True)
class LearningPlan:
    """outputs: the number of classes, or 1 for a value."""

    model: ModelConfig
    training: TrainingConfig
    update: UpdateConfig
    task: Task
    outputs: int

    @property
    def half_lives(self) -> tuple[float, ...]:
        """The half-life, in batches, of each head."""
        return HALF_LIVES if isinstance(self.update, HalfLives) else (math.inf,)
