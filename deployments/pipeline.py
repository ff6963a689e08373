"""`PipelineConfig`: one YAML file that describes one model kept fresh."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Protocol, Self

from pydantic import Field, field_validator, model_validator

from data.config import Config, DataConfig, Task, ValidationConfig
from data.documents import check_document, read_yaml
from deployments.gate_config import AnyGate
from learning.config import HalfLives, TrainingConfig, UpdateConfig
from learning.losses import losses_for
from learning.search.config import TuningConfig
from models.config import MlpConfig, ModelConfig
from monitoring.config import DdmTrigger, DriftConfig, PriceTrigger, TriggerConfig, check_cron
from monitoring.performance import METRICS, AnyMetric, Metric

KIND_OF_FILE = "pipeline file"
DEFAULT_TRIGGER = TriggerConfig(any=[PriceTrigger(kind="price")])
ROWS_ALONE = (
    "what was asked works on rows; it is not there for task: representation. For signals there are lehr run, status, "
    "history, rollback, release, tune, up, deploy, serve, predict, explain, verify, index and similar"
)


class AnyPipeline(Protocol):
    """What all pipeline files say, whatever their task."""

    @property
    def name(self) -> str: ...

    @property
    def task(self) -> str: ...

    @property
    def trigger(self) -> TriggerConfig: ...

    @property
    def gate(self) -> AnyGate: ...

    @property
    def schedule(self) -> "ScheduleConfig": ...

    @property
    def metric(self) -> AnyMetric:
        """The metric that decides."""
        ...


class GateConfig(AnyGate):
    """What a candidate must pass. Losses are in points of the metric; for rmse and mae a share of the champion's."""

    metric: Metric | None = Field(default=None, description="null: accuracy for classification, rmse for regression")
    threshold: float | None = Field(
        default=None,
        description="the worst score on held-out rows that may go live; null: no more than the baseline",
    )
    max_slice_loss: float | None = Field(
        default=None,
        ge=0,
        description="clear loss allowed on a regime, group, class or sensor; null: 0.05, for shares 0.1",
    )
    baseline: Literal["majority", "persistence", "none"] = Field(
        default="majority",
        description="what must be beaten: the best constant, or the target before, which takes labels at once",
    )
    max_calibration_error: float | None = Field(
        default=None, ge=0, description="null: 0.1 more than the champion's, for values 0.25 of their deviations"
    )


class ScheduleConfig(Config):
    """When `lehr up` looks into the pipeline's inbox by itself."""

    learn: str | None = Field(default="0 * * * *", description="cron; takes what waits through the whole loop")
    watch_minutes: float | None = Field(
        default=5, gt=0, description="takes what waits up to the watching; drift then starts a retrain"
    )
    inbox: str | None = Field(
        default=None, description="a folder, as seen from the pipeline file; null: inbox in the pipeline's own folder"
    )

    @field_validator("learn")
    @classmethod
    def _is_cron(cls, learn: str | None) -> str | None:
        return learn if learn is None else check_cron(learn)


class PipelineConfig(Config):
    """All of a pipeline: data, validation, model, training, drift, trigger, update, tuning, gate and schedule."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]*$")]
    task: Task
    data: DataConfig
    validation: ValidationConfig = ValidationConfig()
    model: ModelConfig = MlpConfig()
    training: TrainingConfig = TrainingConfig()
    drift: DriftConfig = DriftConfig()
    trigger: TriggerConfig = DEFAULT_TRIGGER
    update: UpdateConfig = HalfLives()
    tuning: TuningConfig = TuningConfig()
    gate: GateConfig = GateConfig()
    schedule: ScheduleConfig = ScheduleConfig()

    @property
    def metric(self) -> Metric:
        """The metric that decides: the gate's, or the task's first."""
        return self.gate.metric or METRICS[self.task][0]

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read a pipeline file.

        Raises ValueError that names every mistake with its key's path and what is allowed there.
        """
        return cls.parse(read_yaml(path), str(path))

    @classmethod
    def parse(cls, document: Mapping[str, Any], origin: str) -> Self:
        """Check a document that was read from `origin`; raises ValueError as `load` does."""
        match document:
            case {"task": "representation"}:
                raise ValueError(f"{origin}: {ROWS_ALONE}")
            case _:
                return check_document(cls, document, origin, KIND_OF_FILE)

    @model_validator(mode="before")
    @classmethod
    def _network_that_fits_the_window(cls, document: Any) -> Any:
        match document:
            case {"data": {"window": {"length": int(length)}}} if length > 1 and "model" not in document:
                return {**document, "model": {"architecture": "cnn_lstm"}}
            case _:
                return document

    @model_validator(mode="after")
    def _parts_fit_together(self) -> Self:
        allowed = METRICS[self.task]
        if self.metric not in allowed:
            raise ValueError(f"gate.metric: {self.metric} does not fit {self.task}; allowed are {', '.join(allowed)}")
        loss, losses = self.training.loss, losses_for(self.task)
        if loss is not None and loss.kind not in losses:
            raise ValueError(f"training.loss: {loss.kind} does not fit {self.task}; allowed are {', '.join(losses)}")
        if self.training.class_weights is not None and self.task == "regression":
            raise ValueError("training.class_weights: they fit classification only; leave them out for regression")
        joined = "any" if self.trigger.any else "all"
        for i, trigger in enumerate(self.trigger.any or self.trigger.all or []):
            if isinstance(trigger, DdmTrigger) and self.task == "regression":
                where = f"trigger.{joined}[{i}].detector"
                raise ValueError(f"{where}: ddm does not fit regression; allowed are adwin, page_hinkley")
        return self
