from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from torch import Tensor, nn

from deployments.export import check_parity, export, load_state
from deployments.scoring import OnnxModel
from tests.deployments.networks import FixedLengthNetwork, RowNetwork, WindowNetwork


def state() -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(3)
    return {"heads": torch.randn(4, 7, generator=generator), "step": torch.tensor(12), "odd": torch.tensor([0.1, -0.0])}


@pytest.fixture(params=["rows", "windows"])
def network(request: pytest.FixtureRequest) -> tuple[nn.Module, int, int]:
    torch.manual_seed(0)
    return (RowNetwork(5), 5, 1) if request.param == "rows" else (WindowNetwork(3), 3, 12)


def test_the_file_predicts_what_the_network_predicts(network: tuple[nn.Module, int, int]) -> None:
    module, features, length = network
    content = export(module, features, length, state(), {})
    assert check_parity(module, content, features, length, seed=1) < 1e-5


def test_the_training_state_comes_back_bit_for_bit(network: tuple[nn.Module, int, int]) -> None:
    module, features, length = network
    config, tensors = load_state(export(module, features, length, state(), {"trained_through": 4, "weights": [0.5]}))
    assert config == {"trained_through": 4, "weights": [0.5]}
    assert {n: t.numpy().tobytes() for n, t in tensors.items()} == {n: t.numpy().tobytes() for n, t in state().items()}
    assert all(tensors[n].dtype == t.dtype for n, t in state().items())


def test_an_export_is_the_same_every_time() -> None:
    module = RowNetwork(5)
    assert export(module, 5, 1, state(), {"a": 1}) == export(module, 5, 1, state(), {"a": 1})


def test_dropout_is_off_in_the_file() -> None:
    module = RowNetwork(5).train()
    model = OnnxModel(export(module, 5, 1, {}, {}))
    rows = np.full((4, 5), 901, np.float32)
    assert (model.predict(rows) == model.predict(rows)).all()


def test_a_file_that_lost_its_length_has_no_parity() -> None:
    module = FixedLengthNetwork(3)
    assert check_parity(module, export(module, 3, 12, {}, {}), 3, 12, seed=0) > 0.01


def test_another_network_has_no_parity() -> None:
    torch.manual_seed(0)
    content = export(RowNetwork(5), 5, 1, {}, {})
    assert check_parity(RowNetwork(5), content, 5, 1, seed=0) > 0.01


def test_weights_that_are_not_finite_have_no_parity() -> None:
    module = RowNetwork(5)
    with torch.no_grad():
        module.head.weight.fill_(torch.nan)
    assert check_parity(module, export(module, 5, 1, {}, {}), 5, 1, seed=0) == float("inf")


def test_a_file_without_state_is_refused() -> None:
    model = onnx.load_model_from_string(export(RowNetwork(5), 5, 1, state(), {}))
    del model.metadata_props[:]
    with pytest.raises(ValueError, match=r"holds no training state.*use a model\.onnx that lehr exported"):
        load_state(model.SerializeToString())


@pytest.mark.parametrize("changed", [0, 1, 2])
def test_a_changed_state_is_refused(changed: int) -> None:
    model = onnx.load_model_from_string(export(RowNetwork(5), 5, 1, state(), {"weights": [0.5]}))
    prop = model.metadata_props[changed]
    prop.value = prop.value[:8] + ("5" if prop.value[8] != "5" else "6") + prop.value[9:]
    with pytest.raises(ValueError, match="was changed after it was exported; restore"):
        load_state(model.SerializeToString())


def test_a_file_that_is_no_onnx_is_refused() -> None:
    with pytest.raises(ValueError, match="no ONNX file"):
        load_state(b"<html>not found</html>")


def test_the_exported_file_is_read_from_a_path(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(export(RowNetwork(5), 5, 1, {}, {}))
    assert OnnxModel(path).predict(np.full((2, 5), 900, np.float32)).shape == (2, 3)
