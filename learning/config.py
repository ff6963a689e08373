"""How a pipeline's network learns."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field


class _LearningConfig(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class TrainingConfig(_LearningConfig):
    """Training from a fresh network: the first champion, a retrain, and the comparisons."""

    preset: Literal["fast"] = "fast"
    epochs: int = Field(default=20, ge=1)
    batch_size: int = Field(default=128, ge=1)
    learning_rate: float = Field(default=3e-3, gt=0)
    weight_decay: float = Field(default=0.01, ge=0)
    patience: int = Field(default=10, ge=1, description="epochs without a better validation loss before it stops")
    seed: int = Field(default=0, ge=0)


class _UpdateConfig(_LearningConfig):
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
