"""`PipelineConfig`: one YAML file that describes one model kept fresh."""

from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import Field, ValidationError, model_validator

from data.config import Config, DataConfig, Task, ValidationConfig
from learning.config import HalfLives, TrainingConfig, UpdateConfig
from models.config import MlpConfig, ModelConfig
from monitoring.config import DriftConfig, DriftTrigger, PerformanceTrigger, RowsTrigger, TriggerConfig
from monitoring.performance import METRICS, Metric

DEFAULT_TRIGGER = TriggerConfig(
    any=[DriftTrigger(kind="drift"), PerformanceTrigger(kind="performance"), RowsTrigger(kind="rows", count=10_000)]
)


class GateConfig(Config):
    """What a candidate must pass. Scores are in the metric's own unit; losses of rmse and mae are shares."""

    metric: Metric | None = Field(default=None, description="null: accuracy for classification, rmse for regression")
    threshold: float | None = Field(
        default=None,
        description="the worst score on held-out rows that may go live; null: better than the trivial predictor",
    )
    max_regression: float = Field(default=0.05, ge=0, description="how much worse than the champion cannot be ruled out")
    max_forgetting: float = Field(default=0.02, ge=0, description="how much may be lost on earlier batches' hold-outs")
    max_latency_ms: float = Field(default=5.0, gt=0, description="median for one sample through the exported file")
    max_parity_error: float = Field(default=1e-4, gt=0, description="largest difference of the exported file to torch")
    confidence: float = Field(default=0.95, gt=0.5, lt=1)
    resamples: int = Field(default=1000, ge=100)


class PipelineConfig(Config):
    """All of a pipeline: data, validation, model, training, drift, trigger, update and gate."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]*$")]
    task: Task
    data: DataConfig
    validation: ValidationConfig = ValidationConfig()
    model: ModelConfig = MlpConfig()
    training: TrainingConfig = TrainingConfig()
    drift: DriftConfig = DriftConfig()
    trigger: TriggerConfig = DEFAULT_TRIGGER
    update: UpdateConfig = HalfLives()
    gate: GateConfig = GateConfig()
