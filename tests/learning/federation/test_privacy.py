"""ε against accountants that share no code with Opacus', and DP-SGD on networks."""

import math

import numpy as np
import pytest
import torch
from scipy.stats import norm

from learning.config import TrainingConfig
from learning.federated import FederatedLearningCoordinator
from learning.federation.config import FederationConfig, RecordPrivacy
from learning.federation.privacy import add_noise, clip, epsilon_of
from learning.federation.records import learn_privately
from learning.federation.sources import node_data
from models.config import CnnConfig, GruConfig, LstmConfig, MlpConfig, ModelConfig
from models.network import build_network
from tests.learning.federation.plants import MODEL, TRAINING, plant, plants


def gaussian_epsilon(noise: float, steps: int, delta: float) -> float:
    """The exact ε of Gaussian mechanisms without sampling (Balle & Wang 2018, theorem 8)."""
    mu, low, high = math.sqrt(steps) / noise, 0.0, 1000.0
    for _ in range(200):
        middle = (low + high) / 2
        told = norm.cdf(mu / 2 - middle / mu) - math.exp(middle) * norm.cdf(-mu / 2 - middle / mu)
        low, high = (middle, high) if told > delta else (low, middle)
    return high


def sampled_epsilon(noise: float, rate: float, steps: int, delta: float, cells: int = 2**17) -> float:
    """ε of sampled Gaussian mechanisms from the distribution of the privacy loss itself, convolved by FFT.

    P = (1−q) N(0, σ²) + q N(1, σ²) against Q = N(0, σ²), in both orders; the worse one counts (Koskela et al. 2020).
    """
    found: list[float] = []
    for removed in (True, False):
        x = np.linspace(-14 * noise, 14 * noise + 1, 400_001)
        base, mixed = norm.pdf(x, 0, noise), (1 - rate) * norm.pdf(x, 0, noise) + rate * norm.pdf(x, 1, noise)
        density, other = (mixed, base) if removed else (base, mixed)
        with np.errstate(divide="ignore", invalid="ignore"):
            loss = np.nan_to_num(np.log(density) - np.log(other), nan=0.0, posinf=0.0, neginf=0.0)
        width = 80.0 / cells
        place = np.floor(loss / width).astype(int) + cells // 2
        share = loss / width - np.floor(loss / width)  # onto both neighbours, so that the mean stays
        weights = density * (x[1] - x[0])
        mass = np.bincount(place, weights * (1 - share), cells) + np.bincount(place + 1, weights * share, cells)
        total = np.fft.fftshift(np.fft.irfft(np.fft.rfft(np.fft.ifftshift(mass)) ** steps, cells))
        losses = (np.arange(cells) - cells // 2) * width

        def told(epsilon: float, total: np.ndarray = total, losses: np.ndarray = losses) -> float:
            above = losses > epsilon
            return float((total[above] * -np.expm1(epsilon - losses[above])).sum())

        low, high = 0.0, 40.0
        for _ in range(60):
            middle = (low + high) / 2
            low, high = (middle, high) if told(middle) > delta else (low, middle)
        found.append(high)
    return max(found)


@pytest.mark.parametrize(("noise", "steps", "delta"), [(1.0, 1, 1e-5), (2.0, 10, 1e-3), (5.0, 50, 1e-6)])
def test_epsilon_without_sampling_is_the_exact_one_within_a_hundredth(noise: float, steps: int, delta: float) -> None:
    assert epsilon_of(((noise, 1.0, steps),), delta) == pytest.approx(gaussian_epsilon(noise, steps, delta), rel=0.01)


@pytest.mark.parametrize(
    ("noise", "rate", "steps", "delta"), [(1.0, 0.1, 50, 1e-5), (0.8, 0.02, 300, 1e-5), (2.0, 0.5, 20, 1e-3)]
)
def test_epsilon_with_sampling_is_an_independent_accountants_within_a_hundredth(
    noise: float, rate: float, steps: int, delta: float
) -> None:
    own = epsilon_of(((noise, rate, steps),), delta)
    assert own == pytest.approx(sampled_epsilon(noise, rate, steps, delta), rel=0.01)


def test_the_independent_accountant_agrees_with_the_exact_formula() -> None:
    assert sampled_epsilon(2.0, 1.0, 10, 1e-3) == pytest.approx(gaussian_epsilon(2.0, 10, 1e-3), rel=0.002)


def test_clipping_and_noise_are_as_long_as_they_say() -> None:
    rng = np.random.default_rng(0)
    update = rng.normal(size=10_000).astype(np.float32)
    assert np.linalg.norm(clip(update, 3.0)) == pytest.approx(3.0, rel=1e-5)
    assert clip(update, 1e6) is update
    assert (add_noise(update, 0.5, rng) - update).std() == pytest.approx(0.5, rel=0.03)


@pytest.mark.parametrize("secure", [False, True])
def test_nodes_together_add_the_noise_that_is_accounted_for(secure: bool) -> None:
    """With a tiny clip the released change is nothing but noise; its size is noise × clip / (nodes × fraction)."""
    clip_at, noise, count = 1e-3, 4.0, 4
    federation = {
        "units": {"kind": "given"},
        "quorum": 1.0,
        "secure": secure,
        "privacy": {"level": "node", "clip": clip_at, "noise": noise, "seed": 1},
    }
    coordinator = FederatedLearningCoordinator(model=MODEL, training=TRAINING, federation=federation)
    model = coordinator.coordinate_training(plants(count), rounds=1)
    fresh = model.plan.fresh_network()
    change = torch.cat([(a - b).flatten() for a, b in zip(model.network.parameters(), fresh.parameters(), strict=True)])
    assert float(change.detach().std()) == pytest.approx(noise * clip_at / count, rel=0.15)
    (spent,) = model.privacy
    assert spent.level == "node" and spent.epsilon == pytest.approx(gaussian_epsilon(noise, 1, 1e-5), rel=0.01)


@pytest.mark.parametrize(
    "model",
    [
        MlpConfig(hidden_units=[8]),
        LstmConfig(units=8, hidden_units=[8]),
        GruConfig(units=8, hidden_units=[8], bidirectional=True),
    ],
)
def test_dp_sgd_trains_networks_and_leaves_their_layers_as_they_were(model: ModelConfig) -> None:
    rng = np.random.default_rng(0)
    windows = rng.normal(size=(200, 6, 3)).astype(np.float32)
    data = node_data((windows, (windows.mean((1, 2)) > 0).astype(int)))
    torch.manual_seed(0)
    network = build_network(model, 3, 2, "classification")
    kinds = [type(module) for module in network.modules()]
    before = network.head.weight.clone()
    noise = torch.Generator().manual_seed(0)
    steps = learn_privately(network, data.samples, TrainingConfig(batch_size=50), 2, 1e-2, RecordPrivacy(), noise)
    assert (steps.done, steps.planned) == (8, 8)
    assert [type(module) for module in network.modules()] == kinds
    assert not torch.equal(network.head.weight, before)


def test_the_gradient_of_a_row_is_cut_and_the_noise_is_added() -> None:
    """One step of plain SGD moves by noise of the size that is accounted for, whatever the rows are."""
    readings, classes = plant(0, 64)
    data = node_data((readings * 1e3, classes))
    training = TrainingConfig.model_validate(
        {"batch_size": 64, "optimiser": {"kind": "sgd", "momentum": 0.0}, "weight_decay": 0.0}
    )
    network = build_network(MlpConfig(hidden_units=[256], dropout=0.0), 4, 3, "classification")
    before = torch.cat([p.detach().flatten().clone() for p in network.parameters()])
    privacy, noise = RecordPrivacy(clip=1e-4, noise=10.0), torch.Generator().manual_seed(0)
    learn_privately(network, data.samples, training, 1, 1.0, privacy, noise)
    moved = torch.cat([p.detach().flatten() for p in network.parameters()]) - before
    assert float(moved.std()) == pytest.approx(10.0 * 1e-4 / 64, rel=0.1)


def test_record_level_reports_what_each_node_has_spent() -> None:
    federation = {"units": {"kind": "given"}, "privacy": {"level": "record", "noise": 2.0, "seed": 3}}
    coordinator = FederatedLearningCoordinator(model=MODEL, training=TRAINING, federation=federation)
    model = coordinator.coordinate_training(plants(2, rows=64), rounds=2)
    assert [spent.node for spent in model.privacy] == ["node-1", "node-2"]
    expected = sampled_epsilon(2.0, 0.5, 8, 1e-5)
    assert [spent.epsilon for spent in model.privacy] == pytest.approx([expected] * 2, rel=0.01)


@pytest.mark.parametrize(
    ("federation", "said"),
    [
        ({"privacy": {"level": "node"}}, "shared means and deviations would leave the nodes unprotected"),
        ({"privacy": {"level": "record"}, "units": {"kind": "personal"}}, "record-level privacy needs given units"),
        ({"privacy": {"level": "node"}, "units": {"kind": "given"}, "aggregation": {"method": "krum"}}, "not krum"),
        ({"secure": True, "aggregation": {"method": "median"}}, "the coordinator is to see sums only"),
    ],
)
def test_what_would_void_the_guarantee_is_refused(federation: dict[str, object], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        FederationConfig.model_validate(federation)


def test_batch_norm_has_no_record_level_privacy() -> None:
    network = build_network(CnnConfig(), 3, 2, "classification")
    data = node_data((np.zeros((30, 6, 3), np.float32), np.arange(30) % 2))
    with pytest.raises(ValueError, match="cnn has no record-level privacy; mlp, lstm and gru have it"):
        learn_privately(network, data.samples, TrainingConfig(), 1, 1e-3, RecordPrivacy(), torch.Generator())
