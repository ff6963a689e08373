from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch

from deployments.adoption import open_packed
from deployments.export import load_state
from deployments.federation_files import load_model, save_model
from deployments.scoring import OnnxModel
from learning.federated import FederatedLearningCoordinator
from learning.federation.results import FederatedModel
from learning.federation.sharing import with_sensors
from models.config import CnnLstmConfig, LstmConfig, MlpConfig, ModelConfig
from models.network import build_network
from tests.learning.federation.plants import MODEL, TRAINING, plant


def frame(seed: int, sensors: str = "abcd") -> pl.DataFrame:
    readings, classes = plant(seed, 150)
    whole = pl.DataFrame(readings, schema=list("abcd")).with_columns(label=pl.Series(classes).cast(pl.String))
    return whole.select(*sensors, "label")


def learned(**federation: Any) -> tuple[FederatedLearningCoordinator, FederatedModel]:
    coordinator = FederatedLearningCoordinator(
        model=MODEL, training=TRAINING, data={"target": "label"}, federation={"local_epochs": 1, **federation}
    )
    return coordinator, coordinator.coordinate_training({"east": frame(0), "west": frame(1, "dba")}, rounds=2)


def test_the_global_model_is_an_onnx_file_without_rows(tmp_path: Path) -> None:
    coordinator, model = learned()
    coordinator.save(model, tmp_path / "global.onnx")
    readings = np.random.default_rng(0).normal(size=(5, 4)).astype(np.float32)
    onnx = (tmp_path / "global.onnx").read_bytes()
    assert np.allclose(OnnxModel(onnx).predict(readings), model.predict(readings), atol=1e-6)
    config, tensors = load_state(onnx)
    assert config["federation"]["plan"]["sensors"] == model.sensors
    assert torch.equal(tensors["head.weight"], model.network.head.weight)
    with pytest.raises(ValueError, match="does not say which data it learned from"):
        open_packed(onnx)


@pytest.mark.parametrize("federation", [{}, {"units": {"kind": "personal"}, "personal": ["head"]}])
def test_a_nodes_own_file_reads_its_own_sensors_and_holds_what_learning_goes_on_from(
    tmp_path: Path, federation: dict[str, Any]
) -> None:
    coordinator, model = learned(**federation)
    coordinator.save_for("west", model, tmp_path / "west.onnx")
    onnx = (tmp_path / "west.onnx").read_bytes()
    packed = open_packed(onnx)
    assert packed.schema.features == ("d", "b", "a")
    assert packed.contents.holdout.height == 30 and len(packed.candidate.memory) > 0
    own = np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)
    all_sensors = np.full((5, 4), np.nan, np.float32)
    all_sensors[:, [model.sensors.index(sensor) for sensor in "dba"]] = own
    expected = coordinator.nodes["west"].network(torch.from_numpy(all_sensors)).detach().numpy()
    assert np.allclose(OnnxModel(onnx).predict(own), expected, atol=1e-5)
    with pytest.raises(ValueError, match="there is no node 'north'; there are east, west"):
        coordinator.save_for("north", model, tmp_path / "north.onnx")


def test_arrays_leave_no_pipeline_to_go_on_with(tmp_path: Path) -> None:
    coordinator = FederatedLearningCoordinator(model=MODEL, training=TRAINING)
    model = coordinator.coordinate_training([plant(0), plant(1)], rounds=1)
    with pytest.raises(ValueError, match="learned from arrays"):
        coordinator.save_for("node-1", model, tmp_path / "x.onnx")


def test_a_kept_model_is_what_it_was(tmp_path: Path) -> None:
    _, model = learned()
    (tmp_path / "model.bin").write_bytes(save_model(model))
    again = load_model(tmp_path / "model.bin")
    assert again is not None and again.to_dict() == model.to_dict()
    for a, b in zip(model.network.state_dict().values(), again.network.state_dict().values(), strict=True):
        assert torch.equal(a, b)
    assert load_model(tmp_path / "nowhere.bin") is None


@pytest.mark.parametrize(
    "config", [MlpConfig(), LstmConfig(bidirectional=True), CnnLstmConfig(channels=[4], units=4, hidden_units=[4])]
)
def test_fewer_sensors_are_the_same_function_where_the_others_are_missing(config: ModelConfig) -> None:
    torch.manual_seed(0)
    network = build_network(config, 5, 2, "classification").eval()
    network.normaliser.mean_C.copy_(torch.arange(5.0))
    windows = torch.randn(3, 6, 5)
    chosen = [4, 1, 2]
    hidden = windows.clone()
    hidden[..., [0, 3]] = torch.nan
    assert torch.allclose(with_sensors(network, chosen)(windows[..., chosen]), network(hidden), atol=1e-6)
