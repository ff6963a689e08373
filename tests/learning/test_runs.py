import threading
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest
import torch

from data.training_runs import TrainingRuns
from learning.config import TrainingConfig
from learning.metrics import Training
from learning.normalisation import fit_normalisers
from learning.resume import Checkpoints
from learning.runs import fit_run
from models.config import MlpConfig
from models.network import Network, build_network
from tests.learning.streams import FEATURES, make_batch
from tests.learning.training_process import digest

CONFIG = TrainingConfig(epochs=400, batch_size=32, patience=400)


@pytest.fixture
def runs(tmp_path: Path) -> TrainingRuns:
    return TrainingRuns(f"sqlite:///{tmp_path}/ledger.db", lambda: datetime.now(UTC))


def train(
    runs: TrainingRuns, run_id: str, folder: Path, config: TrainingConfig = CONFIG, broken: bool = False
) -> tuple[Network, Training]:
    samples = make_batch(1, "classification")
    torch.manual_seed(0)
    network = build_network(MlpConfig(hidden_units=[8]), FEATURES, 2, "classification")
    fit_normalisers(network, samples)
    if broken:
        network.head.weight.data[0, 0] = torch.nan
    return network, fit_run(runs, run_id, network, samples, config, Checkpoints(folder))


def test_a_run_is_paused_from_elsewhere_resumed_and_ends_as_if_undisturbed(runs: TrainingRuns, tmp_path: Path) -> None:
    undisturbed, _ = train(runs, runs.create("one", {}).id, tmp_path / "a")
    run = runs.create("two", {})

    def pause_after_some_epochs() -> None:
        while len(runs.events(run.id)) < 10:
            time.sleep(0.005)
        runs.desire(run.id, "pause")

    thread = threading.Thread(target=pause_after_some_epochs)
    thread.start()
    _, paused = train(runs, run.id, tmp_path / "b")
    thread.join()
    assert paused.outcome == "paused"
    assert runs.get(run.id).state == "paused"
    runs.desire(run.id, "run")
    network, training = train(runs, run.id, tmp_path / "b")
    assert digest(network) == digest(undisturbed)
    assert runs.get(run.id).state == "completed"
    epochs = [e.payload for e in runs.events(run.id) if e.kind == "epoch"]
    assert [payload["metrics"]["epoch"] for payload in epochs] == list(range(1, 401))
    assert epochs[-1]["metrics"] == training.history[-1].to_dict()
    assert epochs[-1]["best"]["loss"] == min(p["metrics"]["val_loss"] for p in epochs)


def test_a_cancelled_run_is_over(runs: TrainingRuns, tmp_path: Path) -> None:
    run = runs.create("one", {})
    runs.desire(run.id, "cancel")
    _, training = train(runs, run.id, tmp_path)
    assert training.outcome == "cancelled"
    with pytest.raises(ValueError, match="cancelled"):
        train(runs, run.id, tmp_path)


def test_a_failure_is_noted_and_raised(runs: TrainingRuns, tmp_path: Path) -> None:
    run = runs.create("one", {})
    with pytest.raises(FloatingPointError, match=r"head\.weight"):
        train(runs, run.id, tmp_path, broken=True)
    failed = runs.get(run.id)
    assert failed.state == "failed"
    assert failed.reason is not None
    assert failed.reason.startswith("FloatingPointError: the loss is not finite at epoch 1, step 1")


def test_what_the_user_should_know_is_among_the_events(runs: TrainingRuns, tmp_path: Path) -> None:
    run = runs.create("one", {})
    train(runs, run.id, tmp_path, TrainingConfig.model_validate({"preset": "v2", "epochs": 1}))
    assert [e.payload["note"][:30] for e in runs.events(run.id) if e.kind == "warning"] == [
        "the preset v2 learns slowly: 1"
    ]


def test_an_epoch_that_is_learned_again_after_a_kill_is_told_once(runs: TrainingRuns, tmp_path: Path) -> None:
    run, config = runs.create("one", {}), TrainingConfig(epochs=4, batch_size=32)
    runs.change_state(run.id, "running")
    killed = {"metrics": {"epoch": 3}, "total_epochs": 4, "best": None}
    runs.append(run.id, "epoch", killed)
    runs.change_state(run.id, "paused")
    train(runs, run.id, tmp_path, config)
    assert [e.payload["metrics"]["epoch"] for e in runs.events(run.id) if e.kind == "epoch"] == [3, 4]


def test_the_result_is_delivered_before_the_run_is_over(runs: TrainingRuns, tmp_path: Path) -> None:
    run, states = runs.create("one", {}), []
    samples = make_batch(1, "classification")
    network = build_network(MlpConfig(hidden_units=[8]), FEATURES, 2, "classification")
    fit_normalisers(network, samples)
    config = TrainingConfig(epochs=1)

    def deliver(training: Training) -> None:
        states.append(runs.get(run.id).state)

    fit_run(runs, run.id, network, samples, config, Checkpoints(tmp_path), deliver=deliver)
    assert (states, runs.get(run.id).state) == (["running"], "completed")
