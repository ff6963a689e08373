import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from models.config import CnnLstmConfig, MlpConfig, ModelConfig
from models.network import Network, build_network, collapse, copy_head

MLP = MlpConfig(hidden_units=[8, 6])
CNN_LSTM = CnnLstmConfig(channels=[5, 6], kernel_size=4, lstm_units=7)


def inputs_for(config: ModelConfig, count: int, length: int = 5) -> torch.Tensor:
    shape = (count, 3) if isinstance(config, MlpConfig) else (count, length, 3)
    return torch.randn(shape, generator=torch.Generator().manual_seed(0))


def make(config: ModelConfig, task: str, heads: int = 1) -> Network:
    torch.manual_seed(0)
    outputs = 3 if task == "classification" else 1
    return build_network(config, 3, outputs, task, heads).eval()  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("config", [MLP, CNN_LSTM], ids=["mlp", "cnn_lstm"])
def test_it_serves_probabilities_or_values_for_any_batch_and_length(config: ModelConfig) -> None:
    for count, length in ((1, 1), (2, 9), (7, 3)):
        probabilities = make(config, "classification")(inputs_for(config, count, length))
        assert probabilities.shape == (count, 3)
        assert probabilities.sum(1).tolist() == pytest.approx([1.0] * count)
        assert make(config, "regression")(inputs_for(config, count, length)).shape == (count,)


def test_a_missing_reading_counts_as_the_mean_and_a_wild_one_is_cut() -> None:
    network = make(MLP, "regression")
    network.renormalise_inputs(torch.tensor([1.0, 2.0, 3.0]), torch.tensor([1.0, 2.0, 4.0]))
    wild, cut = torch.tensor([[1.0, 2.0, 1e30]]), torch.tensor([[1.0, 2.0, 3 + 8 * 4.0]])
    missing, mean = torch.tensor([[torch.nan, 2.0, torch.nan]]), torch.tensor([[1.0, 2.0, 3.0]])
    assert torch.equal(network(wild), network(cut))
    assert torch.equal(network(missing), network(mean))


@pytest.mark.parametrize("config", [MLP, CNN_LSTM], ids=["mlp", "cnn_lstm"])
@pytest.mark.parametrize("task", ["classification", "regression"])
def test_another_normaliser_leaves_the_function_as_it_was(config: ModelConfig, task: str) -> None:
    network = make(config, task)
    inputs = inputs_for(config, 6)
    before = network(inputs)
    network.renormalise_inputs(torch.tensor([0.5, -1.0, 2.0]), torch.tensor([2.0, 0.7, 1.5]))
    if task == "regression":
        network.renormalise_target(torch.tensor(3.0), torch.tensor(0.5))
    assert torch.allclose(network(inputs), before, atol=1e-5)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.floats(0, 1), min_size=4, max_size=4).filter(lambda w: sum(w) > 0.1))
def test_heads_collapse_into_the_network_that_weighs_them(raw: list[float]) -> None:
    weights = [w / sum(raw) for w in raw]
    for config in (MLP, CNN_LSTM):
        network = make(config, "classification", heads=4)
        inputs = inputs_for(config, 6)
        logits = torch.einsum("k,bko->bo", torch.tensor(weights), network.head_outputs(inputs))
        assert torch.allclose(collapse(network, weights)(inputs), logits.softmax(1), atol=1e-6)


def test_a_copied_head_collapses_to_itself() -> None:
    network = make(MLP, "regression")
    network.renormalise_target(torch.tensor(30.0), torch.tensor(5.0))
    inputs = inputs_for(MLP, 6)
    copied = copy_head(network, 4)
    assert torch.equal(copied.head_outputs(inputs)[:, 2, 0], network(inputs))
    assert torch.equal(collapse(copied, [0.25] * 4)(inputs), network(inputs))


@pytest.mark.parametrize(
    ("features", "outputs", "task"), [(0, 2, "classification"), (3, 1, "classification"), (3, 2, "regression")]
)
def test_a_network_that_cannot_be_is_refused(features: int, outputs: int, task: str) -> None:
    with pytest.raises(ValueError, match=f"no {task} network has {features} features"):
        build_network(MLP, features, outputs, task)  # pyright: ignore[reportArgumentType]
