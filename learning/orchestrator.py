"""The training orchestrator of the earlier system, version 2, and its older call style.

    orchestrator = TrainingOrchestratorV2(OrchestratorConfig(model_preset="production_small"))
    result = await orchestrator.run_training()

trains the hybrid network on the last days of a pipeline's feature store and leaves one ONNX file, from which
`learning.continuous.ContinuousLearningSystem` goes on. Nothing is promoted: that is the loop's to decide.
"""

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, Strict, model_validator

from data.config import Config, Task
from data.samples import Samples
from deployments.pipeline import PipelineConfig
from deployments.ranges import Range
from deployments.settings import Settings
from deployments.training import StoredData, known_pipeline, read_stored, save_trained, train_on
from learning.callbacks import Callback
from learning.config import TrainingConfig
from learning.fitting import fit
from learning.losses import losses_for
from learning.metrics import EpochMetrics, Training
from learning.normalisation import fit_normalisers
from learning.resume import Checkpoints
from models.config import CnnLstmConfig
from models.network import Network

ProductionPreset = Literal["production_small", "production_medium", "production_large"]

TRAINER_PRESETS: Mapping[str, Mapping[str, Any]] = {
    "production_small": {"preset": "v2", "epochs": 50},
    "production_medium": {"preset": "v2", "epochs": 100},
    "production_large": {"preset": "v2", "epochs": 200},
}
"""The v2 settings, with as many epochs as the network's size asks for."""


class OrchestratorConfig(Config):
    """What is trained, how, and on how many of the feature store's last days.

    pipeline: its file; None: the one pipeline that has a version under home. home: None: LEHR_HOME, or .lehr.
    """

    model_preset: ProductionPreset = "production_small"
    trainer_preset: ProductionPreset | Literal["v2", "fast", "robust", "imbalanced"] = "production_small"
    feature_store_days: int = Field(default=30, ge=1)
    pipeline: Annotated[Path, Strict(False)] | None = None
    home: Annotated[Path, Strict(False)] | None = None


class ModelConfigV2(CnnLstmConfig):
    """The hybrid network's configuration: `production_small` where no preset is named."""

    @model_validator(mode="before")
    @classmethod
    def _small_unless_said(cls, document: Any) -> Any:
        return {"preset": "production_small", **document} if isinstance(document, dict) else document


class TrainerConfigV2(TrainingConfig):
    """The trainer's configuration: the v2 values where no preset is named."""

    @model_validator(mode="before")
    @classmethod
    def _v2_unless_said(cls, document: Any) -> Any:
        return {"preset": "v2", **document} if isinstance(document, dict) else document


class HybridCNNLSTMv2(Network):
    """The hybrid network: (B, L, C) or (B, C) raw readings → class probabilities (B, O) or values.

    outputs: classes, or target values.
    """

    def __init__(
        self, features: int, outputs: int, task: Task = "classification", config: CnnLstmConfig | None = None
    ) -> None:
        plain = (config or ModelConfigV2()).model_dump()
        super().__init__(CnnLstmConfig.model_validate(plain), features, outputs, task)


class ModelTrainerV2:
    """Trains a network on samples, with the v2 settings unless others are given."""

    def __init__(self, config: TrainingConfig | None = None) -> None:
        self.config = config or TrainerConfigV2()

    def fit(
        self,
        network: Network,
        samples: Samples,
        callbacks: Iterable[Callback] = (),
        checkpoints: Checkpoints | None = None,
    ) -> Training:
        """Fit the normalisers to the samples and train the network in place; errors as `learning.fitting.fit`."""
        fit_normalisers(network, samples)
        return fit(network, samples, self.config, callbacks, checkpoints)


@dataclass(frozen=True)
class OrchestratorResult:
    """What a training left.

    model_path: the ONNX file. history: its epochs. best: the one with the lowest validation loss; None where nothing
    was validated. scores: on the rows that the feature store holds out. notes: what its user should know.
    """

    model_path: Path
    history: tuple[EpochMetrics, ...]
    best: EpochMetrics | None
    scores: dict[str, float] | None
    rows: int
    notes: tuple[str, ...]


class TrainingOrchestratorV2:
    """Trains on the last days of the feature store, as `OrchestratorConfig` says."""

    def __init__(self, config: OrchestratorConfig | None = None) -> None:
        self.config = config or OrchestratorConfig()
        self._trained: HybridCNNLSTMv2 | None = None

    @property
    def model(self) -> HybridCNNLSTMv2:
        """The trained network; before a training a fresh one for the pipeline's features and classes."""
        if self._trained is None:
            data = self._data(self._pipeline())
            return self._network(data)
        return self._trained

    @property
    def trainer(self) -> ModelTrainerV2:
        """The trainer with the preset's values."""
        name = self.config.trainer_preset
        return ModelTrainerV2(TrainingConfig.model_validate(TRAINER_PRESETS.get(name, {"preset": name})))

    async def run_training(self, callbacks: Iterable[Callback] = ()) -> OrchestratorResult:
        """Train in a thread of its own, and write the ONNX file under the pipeline's folder.

        Raises ValueError where the feature store holds nothing to learn from, and as `learning.fitting.fit`.
        """
        return await asyncio.to_thread(self._run, tuple(callbacks))

    def _run(self, callbacks: tuple[Callback, ...]) -> OrchestratorResult:
        data = self._data(self._pipeline())
        trained = train_on(data, callbacks)
        candidate = trained.candidate
        network = self._network(data)
        network.load_state_dict(candidate.served().state_dict())
        self._trained = network
        path = save_trained(self._settings, data.config.name, trained, datetime.now(UTC))
        validated = [metrics for metrics in candidate.history if metrics.val_loss is not None]
        best = min(validated, key=lambda metrics: metrics.val_loss or 0.0, default=None)
        return OrchestratorResult(path, candidate.history, best, trained.scores, data.rows.height, candidate.notes)

    @property
    def _settings(self) -> Settings:
        return Settings() if self.config.home is None else Settings(home=self.config.home)

    def _pipeline(self) -> PipelineConfig:
        """The pipeline's configuration with the presets in place of its model and training."""
        path = self.config.pipeline
        config = known_pipeline(self._settings) if path is None else PipelineConfig.load(path)
        training = self.trainer.config
        if training.loss is not None and training.loss.kind not in losses_for(config.task):
            training = training.model_copy(update={"loss": None})  # the focal loss of v2 is for classes
        model = CnnLstmConfig.model_validate({"preset": self.config.model_preset})
        return config.model_copy(update={"model": model, "training": training})

    def _data(self, pipeline: PipelineConfig) -> StoredData:
        return read_stored(pipeline, self._settings, Range(self.config.feature_store_days))

    def _network(self, data: StoredData) -> HybridCNNLSTMv2:
        assert isinstance(data.config.model, CnnLstmConfig)
        return HybridCNNLSTMv2(len(data.schema.features), data.outputs, data.config.task, data.config.model)


class TrainingOrchestrator(TrainingOrchestratorV2):
    """The older call style: the same orchestrator, which works inside with the v2 parts."""


@lru_cache(maxsize=1)
def get_training_orchestrator() -> TrainingOrchestrator:
    """The one orchestrator that all callers of this process share."""
    return TrainingOrchestrator()


HybridCNNLSTM, ModelTrainer, ModelConfig, TrainerConfig = (
    HybridCNNLSTMv2,
    ModelTrainerV2,
    ModelConfigV2,
    TrainerConfigV2,
)
