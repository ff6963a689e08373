"""What a client asks for when it starts an epoch training."""

import glob
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, model_validator

from data.config import DataConfig, FeaturesConfig, Task, WindowConfig
from deployments.pipeline import PipelineConfig
from learning.config import TrainingConfig
from models.config import ModelConfig
from service.training.schedules import Scheduler, gather_parameters, schedule_of

Name = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]+$")]
PipelineName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]*$", max_length=100)]
BatchId = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
FileId = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$", examples=["9f" * 32])]
Units = Annotated[int, Field(ge=1, le=4096)]


class _Asked(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class FileSource(_Asked):
    """A file that was sent to `/api/v1/files` before."""

    kind: Literal["file"]
    file_id: FileId


class BatchesSource(_Asked):
    """Batches of a pipeline, by their ids."""

    kind: Literal["batches"]
    pipeline: PipelineName
    batch_ids: list[BatchId] = Field(min_length=1, max_length=10_000)


class FeatureStoreSource(_Asked):
    """What a pipeline's feature store holds: the last days before its newest row, or between two moments, or all."""

    kind: Literal["feature_store"]
    pipeline: PipelineName
    days: int | None = Field(default=None, ge=1, le=36_500)
    since: datetime | None = None
    until: datetime | None = None


DataSource = Annotated[FileSource | BatchesSource | FeatureStoreSource, Field(discriminator="kind")]


class EpochTraining(_Asked):
    """A training of a network epoch by epoch, that others follow and steer."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        allow_inf_nan=False,
        json_schema_extra={
            "examples": [
                {
                    "name": "defects of line 3",
                    "algorithm_type": "deep_learning",
                    "model_type": "mlp",
                    "epochs": 50,
                    "learning_rate_scheduler": {"type": "step", "step_size": 30, "gamma": 0.1},
                    "feature_columns": ["furnace_1_c", "crown_c"],
                    "target_column": "defect",
                    "data_source": {"kind": "feature_store", "pipeline": "glass-line", "days": 30},
                }
            ]
        },
    )

    name: Name
    algorithm_type: Literal["deep_learning"] = "deep_learning"
    model_type: Literal["mlp", "cnn", "lstm", "gru", "cnn_lstm"] = "mlp"
    epochs: int = Field(default=100, ge=1, le=100_000)
    batch_size: int = Field(default=32, ge=1, le=65_536)
    learning_rate: float = Field(default=0.001, gt=0, le=10)
    hidden_units: list[Units] = Field(default=[64, 32], min_length=1, max_length=16)
    dropout_rate: float = Field(default=0.2, ge=0, lt=1)
    early_stopping_patience: int = Field(default=10, ge=1, le=100_000)
    min_delta: float = Field(default=0.001, ge=0)
    learning_rate_scheduler: Scheduler | None = Field(default=None, description="null: a constant rate")
    feature_columns: list[Name] = Field(min_length=1, max_length=10_000)
    target_column: Name
    output_path: Name | None = Field(
        default=None, description="a folder or .onnx file under the home's folder exports, where the model is put too"
    )
    data_source: DataSource
    window_length: int | None = Field(
        default=None, ge=1, le=10_000, description="rows of one sample; null: 1, or as the pipeline says"
    )
    task: Task | None = Field(default=None, description="null: guessed from the target, or as the pipeline says")
    seed: int = Field(default=0, ge=0, le=2**31)

    @model_validator(mode="before")
    @classmethod
    def _one_way_to_write_a_scheduler(cls, document: Any) -> Any:
        return gather_parameters(document) if isinstance(document, dict) else document

    @model_validator(mode="after")
    def _target_is_no_feature(self) -> "EpochTraining":
        if self.target_column in self.feature_columns:
            raise ValueError(f"feature_columns: {self.target_column!r} is the target; take it out of the features")
        return self


def config_for_file(asked: EpochTraining, task: Task) -> PipelineConfig:
    """The pipeline that a training on a file stands for."""
    data = DataConfig(
        features=FeaturesConfig(include=[_literal(column) for column in asked.feature_columns]),
        target=asked.target_column,
        window=WindowConfig(length=asked.window_length or 1),
    )
    return PipelineConfig(
        name="epoch-training", task=asked.task or task, data=data, model=_model(asked), training=_training(asked)
    )


def config_for_stored(asked: EpochTraining, pipeline: PipelineConfig) -> PipelineConfig:
    """A pipeline with another network, training and choice of features.

    Raises ValueError for a target or task that is not the pipeline's.
    """
    if asked.target_column != pipeline.data.target or asked.task not in (None, pipeline.task):
        said = f"{pipeline.name} learns {pipeline.data.target!r} by {pipeline.task}"
        raise ValueError(f"target_column, task: {said}; take its own, or send a file with another target")
    window = WindowConfig(length=asked.window_length or pipeline.data.window.length)
    features = FeaturesConfig(include=[_literal(column) for column in asked.feature_columns])
    data = pipeline.data.model_copy(update={"window": window, "features": features})
    changes = {"data": data, "model": _model(asked), "training": _training(asked)}
    return PipelineConfig.model_validate(pipeline.model_copy(update=changes).model_dump(mode="json"))


def output_file(root: Path, asked: str | None, task_id: str) -> Path | None:
    """Where the model is to be put besides; raises ValueError for a path that leaves the root."""
    if asked is None:
        return None
    given = Path(asked) if asked.endswith(".onnx") else Path(asked) / f"{task_id}.onnx"
    path = (root / given).resolve()
    if not path.is_relative_to(root.resolve()) or path == root.resolve():
        raise ValueError(f"output_path: it must stay under the folder {root.name}, such as models/line-3")
    return path


def _model(asked: EpochTraining) -> ModelConfig:
    document = {"architecture": asked.model_type, "hidden_units": asked.hidden_units, "dropout": asked.dropout_rate}
    return TypeAdapter[ModelConfig](ModelConfig).validate_python(document)


def _training(asked: EpochTraining) -> TrainingConfig:
    return TrainingConfig(
        epochs=asked.epochs,
        batch_size=asked.batch_size,
        learning_rate=asked.learning_rate,
        patience=asked.early_stopping_patience,
        min_delta=asked.min_delta,
        schedule=schedule_of(asked.learning_rate_scheduler),
        seed=asked.seed,
    )


def _literal(column: str) -> str:
    """A pattern that means this column alone."""
    return glob.escape(column)
