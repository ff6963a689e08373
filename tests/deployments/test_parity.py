"""Every network as torch and as its exported file, at lengths and numbers of samples that no export has seen."""

import numpy as np
import pytest
import torch

from deployments.export import check_parity, export
from deployments.scoring import OnnxModel
from models.config import CnnConfig, CnnLstmConfig, GruConfig, LstmConfig, MlpConfig, ModelConfig
from models.network import Network, build_network

FEATURES = 5
MODELS: list[ModelConfig] = [
    MlpConfig(),
    CnnConfig(),
    LstmConfig(layers=2, bidirectional=True),
    GruConfig(bidirectional=True),
    CnnLstmConfig.model_validate({"preset": "production_small"}),
]
LENGTHS, SAMPLES = (7, 20, 61), (1, 5, 64)


def make(model: ModelConfig, task: str, outputs: int) -> Network:
    torch.manual_seed(0)
    network = build_network(model, FEATURES, outputs, task)  # type: ignore[arg-type]
    with torch.no_grad():
        network.normaliser.mean_C.copy_(100 * torch.randn(FEATURES))
        network.normaliser.std_C.copy_(torch.rand(FEATURES) * 10 + 0.1)
        network.train()
        for _ in range(20):  # batch norm's statistics
            network.normalised_outputs(torch.randn(64, 20, FEATURES))
    return network.eval()


@pytest.mark.parametrize(("task", "outputs"), [("classification", 3), ("regression", 2)])
@pytest.mark.parametrize("model", MODELS, ids=lambda m: m.architecture)
def test_windows_of_any_length_in_any_number(model: ModelConfig, task: str, outputs: int) -> None:
    network = make(model, task, outputs)
    served = OnnxModel(export(network, FEATURES, 12, network.state_dict(), {}))
    generator = torch.Generator().manual_seed(1)
    for length in LENGTHS:
        for samples in SAMPLES:
            shape = (samples, length, FEATURES)
            deviations = torch.randn(shape, generator=generator)
            inputs = network.normaliser.mean_C + network.normaliser.std_C * deviations
            inputs = inputs.masked_fill(torch.rand(shape, generator=generator) < 0.05, torch.nan)
            with torch.no_grad():
                expected = network(inputs).numpy()
            predicted = served.predict(inputs.numpy())
            assert predicted.shape == expected.shape
            assert np.abs(predicted - expected).max() <= 1e-5


@pytest.mark.parametrize("model", MODELS, ids=lambda m: m.architecture)
def test_rows_in_any_number(model: ModelConfig) -> None:
    network = make(model, "classification", 2)
    exported = export(network, FEATURES, 1, network.state_dict(), {})
    assert check_parity(network, exported, FEATURES, 1, seed=0) <= 1e-5
