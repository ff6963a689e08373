"""What a pipeline file says about the search for its hyper-parameters."""

from typing import Any, Literal, Self

from pydantic import Field, model_validator

from data.config import Config
from learning.search.parsing import parse_space
from learning.search.samplers import Sampler
from learning.search.trainings import objectives_of


class TuningConfig(Config):
    """How `lehr tune` searches.

    space: by key of `model` and `training` a list, or {low, high, log, step}, each with `when`; null: what usually
    matters for the network. With several objectives the pick is the best of the others among the points of the front
    that give up no more than a hundredth of the best score.
    """

    space: dict[str, Any] | None = None
    objectives: list[Literal["score", "latency_ms", "size_mb", "cost"]] = Field(default=["score"], min_length=1)
    sampler: Sampler = Field(default="auto", description="auto: all points of a small space, else tpe")
    halving: bool = Field(default=True, description="stop poor trials early")
    trials: int = Field(default=30, ge=1)
    finalists: int = Field(default=3, ge=1, description="so many are trained again on other splits before the pick")

    @model_validator(mode="after")
    def _can_be_searched(self) -> Self:
        objectives_of(self.objectives, score_is_loss=False)
        if self.space is not None:
            parse_space(self.space)
        return self
