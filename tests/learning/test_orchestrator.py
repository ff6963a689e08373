"""The earlier system's orchestrator, as its users called it."""

import asyncio
from pathlib import Path

import pytest
import torch

from deployments.adoption import open_packed
from deployments.ranges import Range
from deployments.scoring import OnnxModel
from deployments.settings import Settings
from deployments.training import known_pipeline, read_stored
from learning import orchestrator as module
from learning.config import TrainingConfig
from learning.continuous import ContinuousLearningSystem
from learning.losses import Focal
from learning.orchestrator import (
    HybridCNNLSTMv2,
    ModelConfigV2,
    ModelTrainerV2,
    OrchestratorConfig,
    TrainerConfigV2,
    TrainingOrchestrator,
    TrainingOrchestratorV2,
    get_training_orchestrator,
)
from tests.learning.streams import FEATURES, make_batch


def config_of(line_home: Path, **values: object) -> OrchestratorConfig:
    return OrchestratorConfig.model_validate({"home": line_home, "trainer_preset": "fast", **values})


@pytest.mark.slow
def test_it_trains_on_the_feature_store_and_the_file_learns_on(line_home: Path, tmp_path: Path) -> None:
    orchestrator = TrainingOrchestratorV2(config_of(line_home, model_preset="production_small", feature_store_days=30))
    result = asyncio.run(orchestrator.run_training())
    assert isinstance(orchestrator.model, HybridCNNLSTMv2)
    assert result.best is not None
    assert result.best["val_loss"] == min(m["val_loss"] for m in result.history)
    assert result.scores is not None
    assert result.scores["accuracy"] > 0.5
    packed = open_packed(result.model_path.read_bytes())
    inputs = torch.randn(4, len(packed.schema.features)) + packed.candidate.network.normaliser.mean_C
    with torch.no_grad():
        expected = orchestrator.model.eval()(inputs).numpy()
    assert OnnxModel(result.model_path).predict(inputs.numpy()) == pytest.approx(expected, abs=1e-5)

    model_path = tmp_path / "hybrid.onnx"
    model_path.write_bytes(result.model_path.read_bytes())
    second = sorted((line_home.parent / "source").glob("*.csv"))[1]
    updated = ContinuousLearningSystem(model_path).update_model(second, performance_threshold=0.3)
    assert updated.batches[0]["score_before"] is not None
    assert updated.batches[0]["gate"] is not None


def test_only_the_last_days_are_learned_from(line_home: Path) -> None:
    settings = Settings(home=line_home)
    rows, newest = (read_stored(known_pipeline(settings), settings, Range(days)).rows for days in (None, 1))
    assert 0 < newest.height < rows.height
    assert newest["time"].min() > rows["time"].min()  # pyright: ignore[reportOptionalOperand, reportOperatorIssue]
    assert newest["time"].max() == rows["time"].max()


def test_v2_values_are_the_earlier_systems() -> None:
    config = TrainerConfigV2()
    assert (config.learning_rate, config.batch_size, config.weight_decay) == (5e-5, 256, 0.01)
    assert config.loss == Focal(gamma=2.5, label_smoothing=0.1)
    assert config.schedule.kind == "cosine_warm_restarts"
    assert [a.kind for a in config.augmentations] == ["noise"]
    assert TrainerConfigV2(epochs=3).epochs == 3
    assert ModelConfigV2().units == 64
    assert ModelConfigV2(preset="production_large").units == 256
    assert TrainingOrchestrator(OrchestratorConfig()).trainer.config.preset == "v2"


def test_the_older_names_are_the_v2_ones() -> None:
    assert module.HybridCNNLSTM is HybridCNNLSTMv2
    assert module.ModelTrainer is ModelTrainerV2
    assert module.ModelConfig is ModelConfigV2
    assert module.TrainerConfig is TrainerConfigV2
    assert get_training_orchestrator() is get_training_orchestrator()


def test_the_parts_work_alone() -> None:
    samples = make_batch(1, "classification", length=4)
    torch.manual_seed(0)
    network = HybridCNNLSTMv2(FEATURES, 2)
    training = ModelTrainerV2(TrainingConfig(epochs=5)).fit(network, samples)
    assert training.history[-1]["train_loss"] < training.history[0]["train_loss"]


def test_an_unknown_store_is_named(tmp_path: Path) -> None:
    orchestrator = TrainingOrchestratorV2(OrchestratorConfig(home=tmp_path))
    with pytest.raises(ValueError, match=r"say which pipeline's data to train on: .*: none"):
        asyncio.run(orchestrator.run_training())
    pipeline = tmp_path / "line.yaml"
    pipeline.write_text("name: line\ntask: classification\ndata: {target: y}\n")
    with pytest.raises(ValueError, match="nothing is stored of the pipeline line"):
        asyncio.run(TrainingOrchestratorV2(OrchestratorConfig(home=tmp_path, pipeline=pipeline)).run_training())
