from copy import deepcopy

import numpy as np
import onnx
import pytest
import torch

from deployments.export import load_state
from deployments.signal_export import SignalModel, check_signal_parity, export_signals, load_signal_network
from models.config import HierarchicalConfig
from models.hierarchical import HierarchicalSignalNet

NEVER_EXPORTED = (1, 5, 64, 131, 300)
CONFIGS = [
    HierarchicalConfig(channels=[5, 6], hidden_units=7, embedding_dim=8, blocks=blocks, pool=pool, decoder=decoder)
    for blocks, pool, decoder in (
        ("plain", "last", "none"),
        ("residual", "attention", "none"),
        ("plain", "attention", "unet"),
        ("residual", "last", "unet"),
    )
]


def make(config: HierarchicalConfig, keypoints: int = 3) -> HierarchicalSignalNet:
    torch.manual_seed(0)
    network = HierarchicalSignalNet(2, keypoints, config)
    network.normaliser.std_C.fill_(3.0)
    for _ in range(5):
        network(1 + 3 * torch.randn(8, 2, 40))
    return network.eval()


@pytest.mark.parametrize("decoding", ["argmax", "median", "ordered"])
@pytest.mark.parametrize("config", CONFIGS, ids=lambda c: f"{c.blocks}-{c.pool}-{c.decoder}")
def test_the_file_gives_what_the_network_gives_at_lengths_never_exported(
    config: HierarchicalConfig, decoding: str
) -> None:
    network = make(config.model_copy(update={"decoding": decoding}))
    assert check_signal_parity(network, export_signals(network), NEVER_EXPORTED, seed=0) <= 1e-5


def test_parity_finds_another_networks_file() -> None:
    network, other = make(CONFIGS[0]), make(CONFIGS[0])
    with torch.no_grad():
        other.keypoint_head.bias += 1e-4
    assert check_signal_parity(network, export_signals(other), NEVER_EXPORTED, seed=0) > 1e-5
    assert check_signal_parity(network, export_signals(make(CONFIGS[0], 2)), NEVER_EXPORTED, seed=0) == float("inf")


def test_large_logits_are_compared_to_as_many_digits_as_float32_has() -> None:
    network = make(CONFIGS[2])
    with torch.no_grad():
        network.keypoint_head.weight *= 3000
    assert check_signal_parity(network, export_signals(network), NEVER_EXPORTED, seed=0) <= 1e-5
    other = deepcopy(network)
    with torch.no_grad():
        other.keypoint_head.weight[0] *= 1 + 1e-4
    assert check_signal_parity(network, export_signals(other), NEVER_EXPORTED, seed=0) > 1e-5


def test_the_network_comes_back_to_the_bit() -> None:
    network = make(CONFIGS[3])
    again = load_signal_network(export_signals(network))
    assert again.config == network.config and again.keypoints == network.keypoints
    assert all(torch.equal(tensor, again.state_dict()[name]) for name, tensor in network.state_dict().items())


def test_a_signal_alone_and_in_a_padded_batch_is_the_same_in_the_file() -> None:
    model = SignalModel(export_signals(make(CONFIGS[0])))
    signals_BCT = np.random.default_rng(0).normal(size=(3, 2, 50)).astype(np.float32)
    together = model.represent(signals_BCT, np.array([50, 17, 1]))
    for place, length in enumerate((50, 17, 1)):
        alone = model.represent(signals_BCT[place : place + 1, :, :length])
        assert np.abs(alone.embeddings_BE[0] - together.embeddings_BE[place]).max() <= 1e-6
        assert np.abs(alone.positions_BK[0] - together.positions_BK[place]).max() <= 1e-4


def test_what_is_no_signal_is_refused() -> None:
    network = make(CONFIGS[0])
    model = SignalModel(export_signals(network))
    assert model.keypoints == ("0", "1", "2") and model.channels == 2
    with pytest.raises(ValueError, match=r"float32 \(signals, 2, samples\), got float64 \(1, 2, 9\)"):
        model.represent(np.zeros((1, 2, 9)))  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match="got float32"):
        model.represent(np.zeros((1, 3, 9), np.float32))
    for lengths in ([0], [10], [9, 9]):
        with pytest.raises(ValueError, match="1 signals of at most 9 samples need as many lengths from 1"):
            model.represent(np.zeros((1, 2, 9), np.float32), np.array(lengths))
    with pytest.raises(ValueError, match="lengths are whole numbers, not float64"):
        model.represent(np.zeros((1, 2, 9), np.float32), np.array([3.7]))  # pyright: ignore[reportArgumentType]
    signals_BCT = np.zeros((2, 2, 9), np.float32)
    signals_BCT[1, 0, 3] = -np.inf
    with pytest.raises(ValueError, match="signal 1 holds an infinite reading"):
        model.represent(signals_BCT)
    with pytest.raises(ValueError, match="onnxruntime does not take"):
        SignalModel(b"no file")


def test_a_file_of_another_kind_is_refused() -> None:
    document = onnx.load_model_from_string(export_signals(make(CONFIGS[0])))
    kept = [p for p in document.metadata_props if p.key != "lehr.keypoints"]
    del document.metadata_props[:]
    document.metadata_props.extend(kept)
    with pytest.raises(ValueError, match="does not represent signals"):
        SignalModel(document.SerializeToString())
    config, _ = load_state(document.SerializeToString())
    assert config["in_channels"] == 2
