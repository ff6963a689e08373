"""Several processes, half precision and devices, against one CPU process in full precision."""

from dataclasses import replace

import pytest
import torch

from learning.config import TrainingConfig
from learning.fitting import fit
from learning.metrics import Training
from learning.normalisation import fit_normalisers
from models.config import MlpConfig, ModelConfig
from models.network import Network, build_network
from tests.learning.streams import FEATURES, make_batch

needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="this machine has no CUDA device")
needs_two_cuda = pytest.mark.skipif(torch.cuda.device_count() < 2, reason="this machine has no two CUDA devices")
CONFIG = TrainingConfig(epochs=4, batch_size=32, min_delta=0.0)
MODEL = MlpConfig(hidden_units=[16], dropout=0.0)


def train(config: TrainingConfig, count: int = 300, model: ModelConfig = MODEL) -> tuple[Network, Training]:
    samples = make_batch(1, "classification", count=count)
    torch.manual_seed(0)
    network = build_network(model, FEATURES, 2, "classification")
    fit_normalisers(network, samples)
    return network, fit(network, samples, config)


def losses(training: Training) -> list[float]:
    return [loss for m in training.history for loss in (m.train_loss, m.val_loss) if loss is not None]


def changed(**values: object) -> TrainingConfig:
    return TrainingConfig.model_validate({**CONFIG.model_dump(), **values})


@pytest.mark.slow
def test_two_processes_learn_what_one_learns() -> None:
    count = 283  # the last batch is odd: one process has a sample more than the other
    alone, one = train(CONFIG, count)
    together, two = train(changed(devices=2), count)
    assert losses(two) == pytest.approx(losses(one), abs=1e-5)
    assert [m.train_accuracy for m in two.history] == pytest.approx([m.train_accuracy for m in one.history], abs=0.01)
    for parameter, other in zip(alone.parameters(), together.parameters(), strict=True):
        assert torch.allclose(parameter, other, atol=1e-4)


@pytest.mark.slow
def test_what_one_of_two_processes_raises_is_raised() -> None:
    samples = make_batch(1, "regression", count=200)
    torch.manual_seed(0)
    network = build_network(MODEL, FEATURES, 1, "regression")
    fit_normalisers(network, samples)
    before = [p.clone() for p in network.parameters()]
    targets_B = samples.targets_B.clone()
    targets_B[:] = torch.nan
    with pytest.raises(FloatingPointError, match="the loss is not finite at epoch 1"):
        fit(network, replace(samples, targets_B=targets_B), changed(devices=2))
    assert all(torch.equal(p, q) for p, q in zip(before, network.parameters(), strict=True))


def test_bf16_learns_about_the_same() -> None:
    _, full = train(CONFIG)
    _, half = train(changed(precision="bf16"))
    assert losses(half) != losses(full)
    assert losses(half) == pytest.approx(losses(full), abs=0.02)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"device": "cuda"}, r"training\.device: this machine has no cuda; it has cpu"),
        ({"device": "mps"}, r"training\.device: this machine has no mps; it has cpu"),
        ({"precision": "fp16"}, r"training\.precision: fp16 needs a CUDA device; allowed on the CPU are fp32 and bf16"),
    ],
)
def test_what_this_machine_lacks_is_named(values: dict[str, object], said: str) -> None:
    if torch.cuda.is_available() and values.get("device") == "cuda":
        pytest.skip("this machine has a CUDA device")
    with pytest.raises(ValueError, match=said):
        train(changed(**values))


def test_more_processes_than_samples_of_a_batch_are_refused() -> None:
    with pytest.raises(ValueError, match="devices: 4 cannot share a batch of 2"):
        changed(devices=4, batch_size=2)


@needs_cuda
@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
def test_a_gpu_learns_what_the_cpu_learns(precision: str) -> None:
    _, cpu = train(CONFIG)
    network, gpu = train(changed(device="cuda", precision=precision))
    assert losses(gpu) == pytest.approx(losses(cpu), abs=1e-3 if precision == "fp32" else 0.03)
    assert next(network.parameters()).device.type == "cpu"


@needs_two_cuda
def test_two_gpus_learn_what_one_learns() -> None:
    _, one = train(changed(device="cuda"))
    _, two = train(changed(device="cuda", devices=2))
    assert losses(two) == pytest.approx(losses(one), abs=1e-4)
