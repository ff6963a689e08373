"""What users of the earlier training module wrote runs but for the import paths; what one returns the next accepts.

Here with less data and fewer trials; `make torture` runs it with all of them.
"""

from itertools import islice
from pathlib import Path

import polars as pl
import pytest

from data.sources import Arrival
from data.synthetic import SyntheticTrainingDataGenerator
from deployments.pipeline import PipelineConfig
from deployments.scoring import OnnxModel
from deployments.training import read_given, train_on
from learning.config import TrainingConfig
from learning.continuous import ContinuousLearningSystem
from learning.federated import FederatedLearningCoordinator
from learning.tuning import AutoMLTuner
from monitoring.metrics import MLMetricsTracker

PIPELINE = {
    "name": "lstm-model",
    "task": "classification",
    "data": {"target": "defect", "timestamp": "time", "window": {"length": 30}},
    "drift": {"report": "never"},
}


@pytest.fixture(autouse=True)
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LEHR_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def chain(tuner: AutoMLTuner, num_samples: int, training: dict[str, int]) -> None:
    """Generator, tuner, training, continuous learning, each with what the one before returned."""
    generator = SyntheticTrainingDataGenerator()
    lstm_data = generator.generate_lstm_training_data(
        sequence_length=30, num_samples=num_samples, defect_types=["crack", "bubble", "chip"]
    )
    search_space = {"layers": [2, 3, 4], "units": [64, 128, 256], "dropout": [0.1, 0.2, 0.3]}
    best_params = tuner.optimize_lstm_hyperparameters(training_data=lstm_data, search_space=search_space)
    assert all(best_params[name] in values for name, values in search_space.items())

    model = {"architecture": "lstm", **best_params}
    config = PipelineConfig.parse({**PIPELINE, "model": model, "training": training}, "here")
    lstm_data.frame.write_parquet("history.parquet")
    trained = train_on(read_given(config, Arrival("history", Path("history.parquet").read_bytes(), "parquet")))
    Path("models").mkdir()
    Path("models/lstm_model.onnx").write_bytes(trained.onnx)

    new_data_stream = islice(SyntheticTrainingDataGenerator(seed=1).frames(rows=600), 1)
    system = ContinuousLearningSystem(model_path="models/lstm_model.onnx")
    updated = system.update_model(new_data_stream, performance_threshold=0.85)
    assert [record["status"] for record in updated.batches] == ["accepted"]
    assert updated.promoted or "threshold" in updated.reason
    served = OnnxModel(Path("models/lstm_model.onnx").read_bytes()).predict_samples(lstm_data)
    assert served.shape == (num_samples, 4)


def test_the_generator() -> None:
    generator = SyntheticTrainingDataGenerator()
    lstm_data = generator.generate_lstm_training_data(
        sequence_length=30, num_samples=10000, defect_types=["crack", "bubble", "chip"]
    )
    assert lstm_data.inputs().shape == (10000, 30, 20)
    assert set(lstm_data.classes) == {"ok", "crack", "bubble", "chip"}


def test_the_tracker() -> None:
    tracker = MLMetricsTracker(experiment_name="lstm_training_v1")
    tracker.log_metrics({"accuracy": 0.92, "precision": 0.89, "recall": 0.94, "f1_score": 0.91})
    assert tracker.history("recall").select(pl.col("value")).item() == 0.94
    tracker.close()


@pytest.mark.usefixtures("prefect_server")
def test_from_the_generator_over_tuner_and_training_into_continuous_learning() -> None:
    chain(
        AutoMLTuner(trials=2, training=TrainingConfig(epochs=1, batch_size=32)),
        num_samples=300,
        training={"epochs": 1, "batch_size": 8},
    )


@pytest.mark.torture
@pytest.mark.timeout(7200)
@pytest.mark.usefixtures("prefect_server")
def test_the_same_with_all_data_for_ten_minutes_of_search() -> None:
    chain(AutoMLTuner(minutes=10), num_samples=10_000, training={})


def test_lines_learn_together():
    node_data_list = [
        SyntheticTrainingDataGenerator(seed=seed).generate_lstm_training_data(sequence_length=5, num_samples=120)
        for seed in range(2)
    ]
    coordinator = FederatedLearningCoordinator()
    global_model = coordinator.coordinate_training(
        node_data_sources=node_data_list, rounds=10, aggregation_method="fedavg"
    )
    losses = [told["loss"] for told in global_model.rounds]
    assert len(losses) == 10 and losses[-1] < losses[0]
    assert global_model.predict(node_data_list[0]).shape == (120, 4)
