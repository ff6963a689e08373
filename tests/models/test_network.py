import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from models.config import CnnConfig, CnnLstmConfig, GruConfig, LstmConfig, MlpConfig, ModelConfig
from models.network import Network, build_network, collapse, copy_head

MLP = MlpConfig(hidden_units=[8, 6])
ALL: list[ModelConfig] = [
    MLP,
    CnnConfig(channels=[5, 6], kernel_size=4, hidden_units=[7]),
    LstmConfig(units=6, hidden_units=[7]),
    GruConfig(units=6, layers=2, bidirectional=True, hidden_units=[7]),
    CnnLstmConfig(channels=[5, 6], units=7, bidirectional=True, hidden_units=[7]),
]
every_network = pytest.mark.parametrize("config", ALL, ids=lambda c: c.architecture)


def inputs_for(count: int, length: int = 5) -> torch.Tensor:
    return torch.randn((count, length, 3), generator=torch.Generator().manual_seed(0))


def make(config: ModelConfig, task: str, heads: int = 1) -> Network:
    torch.manual_seed(0)
    outputs = 3 if task == "classification" else 1
    return build_network(config, 3, outputs, task, heads).eval()  # pyright: ignore[reportArgumentType]


@every_network
def test_it_serves_probabilities_or_values_for_any_batch_and_length(config: ModelConfig) -> None:
    for count, length in ((1, 1), (2, 9), (7, 3)):
        probabilities = make(config, "classification")(inputs_for(count, length))
        assert probabilities.shape == (count, 3)
        assert probabilities.sum(1).tolist() == pytest.approx([1.0] * count)
        assert make(config, "regression")(inputs_for(count, length)).shape == (count,)
    rows = inputs_for(4)[:, 0]
    assert torch.allclose(make(config, "regression")(rows), make(config, "regression")(rows[:, None]), atol=1e-6)


@every_network
def test_a_sample_does_not_depend_on_the_batch_it_sits_in(config: ModelConfig) -> None:
    network, inputs = make(config, "classification"), inputs_for(32)
    alone = torch.cat([network(sample[None]) for sample in inputs])
    assert torch.allclose(network(inputs), alone, atol=1e-6)


@every_network
@pytest.mark.parametrize("task", ["classification", "regression"])
def test_every_weight_has_a_finite_gradient(config: ModelConfig, task: str) -> None:
    network = make(config, task).train()
    network.normalised_outputs(8 * inputs_for(32).sign()).square().mean().backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name


def test_normalising_in_place_gives_what_the_network_sees_to_the_bit() -> None:
    network = make(MLP, "regression")
    network.renormalise_inputs(torch.tensor([1.0, 2.0, 3.0]), torch.tensor([1.0, 0.3, 4.0]))
    readings = 5 * inputs_for(50)
    readings[::3, 1, 2] = torch.nan
    expected = network.normaliser(readings)
    assert torch.equal(network.normaliser.normalise_(readings), expected)


@pytest.mark.parametrize(
    ("preset", "weights"),
    [("production_small", 40_000), ("production_medium", 300_000), ("production_large", 2_500_000)],
)
def test_a_preset_fills_in_what_is_not_given(preset: str, weights: int) -> None:
    config = CnnLstmConfig.model_validate({"preset": preset, "dropout": 0.0})
    assert config.dropout == 0.0
    count = sum(p.numel() for p in build_network(config, 10, 2, "classification").parameters())
    assert weights < count < 2 * weights


def test_a_missing_reading_counts_as_the_mean_and_a_wild_one_is_cut() -> None:
    network = make(MLP, "regression")
    network.renormalise_inputs(torch.tensor([1.0, 2.0, 3.0]), torch.tensor([1.0, 2.0, 4.0]))
    wild, cut = torch.tensor([[1.0, 2.0, 1e30]]), torch.tensor([[1.0, 2.0, 3 + 8 * 4.0]])
    missing, mean = torch.tensor([[torch.nan, 2.0, torch.nan]]), torch.tensor([[1.0, 2.0, 3.0]])
    assert torch.equal(network(wild), network(cut))
    assert torch.equal(network(missing), network(mean))


@every_network
@pytest.mark.parametrize("task", ["classification", "regression"])
def test_another_normaliser_leaves_the_function_as_it_was(config: ModelConfig, task: str) -> None:
    network = make(config, task)
    inputs = inputs_for(6)
    before = network(inputs)
    network.renormalise_inputs(torch.tensor([0.5, -1.0, 2.0]), torch.tensor([2.0, 0.7, 1.5]))
    if task == "regression":
        network.renormalise_target(torch.tensor([3.0]), torch.tensor([0.5]))
    assert torch.allclose(network(inputs), before, atol=1e-5)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.floats(0, 1), min_size=4, max_size=4).filter(lambda w: sum(w) > 0.1))
def test_heads_collapse_into_the_network_that_weighs_them(raw: list[float]) -> None:
    weights = [w / sum(raw) for w in raw]
    for config in (MLP, ALL[-1]):
        network = make(config, "classification", heads=4)
        inputs = inputs_for(6)
        logits = torch.einsum("k,bko->bo", torch.tensor(weights), network.head_outputs(inputs))
        assert torch.allclose(collapse(network, weights)(inputs), logits.softmax(1), atol=1e-6)


def test_a_copied_head_collapses_to_itself() -> None:
    network = make(MLP, "regression")
    network.renormalise_target(torch.tensor([30.0]), torch.tensor([5.0]))
    inputs = inputs_for(6)
    copied = copy_head(network, 4)
    assert torch.equal(copied.head_outputs(inputs)[:, 2, 0], network(inputs))
    assert torch.equal(collapse(copied, [0.25] * 4)(inputs), network(inputs))


@pytest.mark.parametrize(
    ("features", "outputs", "task"), [(0, 2, "classification"), (3, 1, "classification"), (3, 0, "regression")]
)
def test_a_network_that_cannot_be_is_refused(features: int, outputs: int, task: str) -> None:
    with pytest.raises(ValueError, match=f"no {task} network has {features} features"):
        build_network(MLP, features, outputs, task)  # pyright: ignore[reportArgumentType]
