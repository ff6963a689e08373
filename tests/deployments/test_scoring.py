import numpy as np
import onnx
import pytest
import torch

from data.samples import Samples
from deployments.export import export
from deployments.scoring import OnnxModel
from tests.deployments.networks import RowNetwork, WindowNetwork


@pytest.fixture(scope="module")
def rows_model() -> OnnxModel:
    torch.manual_seed(0)
    return OnnxModel(export(RowNetwork(5), 5, 1, {}, {}))


@pytest.fixture(scope="module")
def windows_model() -> OnnxModel:
    torch.manual_seed(0)
    return OnnxModel(export(WindowNetwork(3), 3, 12, {}, {}))


def samples(rows: int, features: int, length: int) -> Samples:
    rows_NC = torch.randn(rows, features, generator=torch.Generator().manual_seed(0))
    starts_B = torch.arange(rows - length + 1)
    return Samples(rows_NC, starts_B, length, torch.zeros(len(starts_B)), torch.ones(len(starts_B), dtype=torch.int64))


def test_classes_come_as_probabilities(rows_model: OnnxModel) -> None:
    predictions = rows_model.predict(np.full((7, 5), 899, np.float32))
    assert predictions.shape == (7, 3)
    assert predictions.dtype == np.float32
    np.testing.assert_allclose(predictions.sum(1), 1, rtol=1e-5)


def test_a_missing_reading_is_predicted_on(rows_model: OnnxModel) -> None:
    assert np.isfinite(rows_model.predict(np.full((1, 5), np.nan, np.float32))).all()


def test_many_samples_are_predicted_as_each_alone(windows_model: OnnxModel) -> None:
    many = samples(4500, 3, 12)
    predictions = windows_model.predict_samples(many)
    assert predictions.shape == (len(many),)
    for i in (0, 4095, 4096, len(many) - 1):
        alone = windows_model.predict(many.inputs(torch.tensor([i])).numpy())
        np.testing.assert_allclose(predictions[i], alone[0], rtol=1e-5)


@pytest.mark.parametrize(
    ("inputs", "said"),
    [
        (np.zeros((2, 4), np.float32), r"takes float32 \(samples, 5\), got float32 \(2, 4\)"),
        (np.zeros((2, 5)), "got float64"),
        (np.zeros((1, 2, 5), np.float32), r"got float32 \(1, 2, 5\)"),
    ],
)
def test_other_inputs_are_refused(rows_model: OnnxModel, inputs: np.ndarray, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        rows_model.predict(inputs)


def test_no_samples_give_no_predictions(windows_model: OnnxModel) -> None:
    with pytest.raises(ValueError, match="no samples"):
        windows_model.predict_samples(samples(20, 3, 12).take(torch.arange(0)))


def test_latency_is_a_time(rows_model: OnnxModel, windows_model: OnnxModel) -> None:
    assert 0 < rows_model.latency_ms() < 50
    assert 0 < windows_model.latency_ms(12) < 50


def test_a_broken_file_is_refused() -> None:
    with pytest.raises(ValueError, match="does not take this ONNX file"):
        OnnxModel(b"nothing")


def test_a_file_with_other_names_is_refused() -> None:
    model = onnx.load_model_from_string(export(RowNetwork(5), 5, 1, {}, {}))
    model.graph.input[0].name = "x"
    for node in model.graph.node:
        node.input[:] = ["x" if name == "inputs" else name for name in node.input]
    with pytest.raises(ValueError, match="one input 'inputs' and one output 'prediction'"):
        OnnxModel(model.SerializeToString())
