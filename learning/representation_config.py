"""How a network learns to represent signals."""

from typing import Self

from pydantic import Field, model_validator

from data.config import Config
from learning.metric import HierarchicalLossConfig
from learning.optimisers import AdamW, OptimiserConfig
from learning.samplers import K_SAMPLES, P_ELEMENTS
from learning.schedules import OneCycle, ScheduleConfig
from learning.signal_augmentation import SignalAugmentation

LEARNING_RATE = 4e-3


class RepresentationConfig(Config):
    """Training of a `HierarchicalSignalNet` on batches of P elements × K signals."""

    epochs: int = Field(default=30, ge=1)
    batches: int | None = Field(default=None, ge=1, description="of an epoch; null: as many as give every signal once")
    p_elements: int = Field(default=P_ELEMENTS, ge=1, description="elements in a batch, at most as many as there are")
    k_samples: int = Field(default=K_SAMPLES, ge=2, description="signals of each")
    learning_rate: float = Field(default=LEARNING_RATE, gt=0, description="the schedule's peak")
    weight_decay: float = Field(default=0.02, ge=0)
    optimiser: OptimiserConfig = AdamW()
    schedule: ScheduleConfig = OneCycle(pct_start=0.15)
    loss: HierarchicalLossConfig = HierarchicalLossConfig()
    augmentation: SignalAugmentation = SignalAugmentation()
    held_out: float = Field(default=0.15, ge=0, lt=1, description="share of the elements that early stopping looks at")
    patience: int = Field(default=10, ge=1, description="epochs without a better loss on them before it stops")
    min_delta: float = Field(default=0.001, ge=0)
    clip_norm: float | None = Field(default=2.0, gt=0, description="the longest gradient")
    ema_decay: float | None = Field(default=0.995, gt=0, lt=1, description="serve a moving average of the weights")
    update_share: float = Field(default=0.2, gt=0, le=1, description="steps of an update, of a whole training's")
    update_rate: float = Field(default=0.5, gt=0, le=1, description="peak learning rate of an update, of a training's")
    memory_signals: int = Field(default=24, ge=2, description="signals of an old element that an update looks back at")
    hold: float = Field(default=1.0, ge=0, description="what it costs an update to move the embeddings of old signals")
    seed: int = Field(default=0, ge=0)

    @model_validator(mode="after")
    def _negatives_are_there(self) -> Self:
        if self.p_elements == 1 and self.loss.lambda_metric > 0:
            raise ValueError(
                "p_elements: 1 leaves no other element to tell signals from; "
                "allowed is 2 or more, or loss.lambda_metric: 0"
            )
        return self
