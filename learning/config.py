"""How a pipeline's network learns."""

from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from data.config import Config
from learning.augmentation import AugmentationConfig
from learning.losses import LossConfig
from learning.optimisers import AdamW, OptimiserConfig
from learning.presets import TRAINING_PRESETS
from learning.schedules import Linear, ScheduleConfig

Positive = Annotated[float, Field(gt=0)]


class TrainingConfig(Config):
    """Training from a fresh network: the first champion, a retrain, the comparisons, and runs of their own.

    preset: a set of values for the other keys; keys that stand beside it win over it.
    """

    preset: Literal["fast", "v2", "robust", "imbalanced"] = "fast"
    epochs: int = Field(default=20, ge=1)
    batch_size: int = Field(default=128, ge=1)
    learning_rate: float = Field(default=3e-3, gt=0, description="the schedule's peak")
    weight_decay: float = Field(default=0.01, ge=0)
    optimiser: OptimiserConfig = AdamW()
    schedule: ScheduleConfig = Linear()
    loss: LossConfig | None = Field(default=None, description="null: cross-entropy for classes, mse for values")
    class_weights: Literal["balanced"] | list[Positive] | None = Field(
        default=None, description="balanced: each class counts the same, however rare; or a weight for each class"
    )
    augmentations: list[AugmentationConfig] = Field(default=[])
    patience: int = Field(default=10, ge=1, description="epochs without a better validation loss before it stops")
    min_delta: float = Field(default=0.001, ge=0, description="how much lower a loss must be to count as better")
    clip_norm: float | None = Field(default=None, gt=0, description="the longest gradient")
    ema_decay: float | None = Field(default=None, gt=0, lt=1, description="serve a moving average of the weights")
    device: Literal["cpu", "cuda", "mps", "auto"] = "cpu"
    devices: int = Field(default=1, ge=1, description="processes that share each batch; on the CPU too")
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    threads: int | None = Field(default=None, ge=1, description="null: one, or as a short test of a large network says")
    seed: int = Field(default=0, ge=0)

    @model_validator(mode="after")
    def _batches_can_be_shared(self) -> Self:
        if self.batch_size < self.devices:
            raise ValueError(f"devices: {self.devices} cannot share a batch of {self.batch_size}")
        return self

    @model_validator(mode="before")
    @classmethod
    def _fill_in_preset(cls, document: Any) -> Any:
        match document:
            case {"preset": str(name)} if name in TRAINING_PRESETS:
                return {**TRAINING_PRESETS[name], **document}
            case _:
                return document


Strategy = Literal["half_lives", "replay", "retrain", "fine_tune", "last_layer", "scratch"]


class _UpdateConfig(Config):
    memory_rows: int = Field(default=4000, ge=0, description="samples of earlier batches kept for replay")


class HalfLives(_UpdateConfig):
    """One trunk, heads of several half-lives over a time-stamped memory, blended by prequential evidence."""

    strategy: Literal["half_lives"] = "half_lives"


class Replay(_UpdateConfig):
    """New rows mixed with memory, after shrink-and-perturb."""

    strategy: Literal["replay"] = "replay"


class Retrain(_UpdateConfig):
    """All history again, from a shrunk and perturbed warm start."""

    strategy: Literal["retrain"] = "retrain"


class FineTune(_UpdateConfig):
    """New rows only, all weights. For comparison: it forgets."""

    strategy: Literal["fine_tune"] = "fine_tune"


class LastLayer(_UpdateConfig):
    """New rows only, the head's weights. For comparison."""

    strategy: Literal["last_layer"] = "last_layer"


class Scratch(_UpdateConfig):
    """All history again, from fresh weights. For comparison."""

    strategy: Literal["scratch"] = "scratch"


UpdateConfig = Annotated[HalfLives | Replay | Retrain | FineTune | LastLayer | Scratch, Field(discriminator="strategy")]
