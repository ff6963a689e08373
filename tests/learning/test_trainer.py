import math
from dataclasses import replace

import pytest
import torch

from data.config import Task
from data.samples import Samples
from learning.batches import TrainingSet, batch_sizes, batches
from learning.callbacks import EVENTS, Callback
from learning.config import TrainingConfig
from learning.fitting import fit
from learning.normalisation import fit_normalisers, normalised_targets, refit_normalisers
from learning.state import TrainingState
from models.config import CnnConfig, MlpConfig
from models.network import Network, build_network
from tests.learning.streams import FEATURES, LENGTHS, MODELS, make_batch, make_history

CONFIG = TrainingConfig(epochs=30, batch_size=32, learning_rate=1e-2)


def make_network(samples: Samples) -> Network:
    torch.manual_seed(0)
    network = build_network(MlpConfig(hidden_units=[16]), FEATURES, 1, "regression")
    fit_normalisers(network, samples)
    return network


class Listener(Callback):
    """Writes down every event."""

    def __init__(self) -> None:
        self.events: list[str] = []

    def fit_start(self, state: TrainingState) -> None:
        self.events.append("fit_start")

    def epoch_start(self, state: TrainingState) -> None:
        self.events.append("epoch_start")

    def batch_start(self, state: TrainingState) -> None:
        self.events.append("batch_start")

    def batch_end(self, state: TrainingState) -> None:
        self.events.append("batch_end")

    def validation_start(self, state: TrainingState) -> None:
        self.events.append("validation_start")

    def epoch_end(self, state: TrainingState) -> None:
        self.events.append("epoch_end")

    def fit_end(self, state: TrainingState) -> None:
        self.events.append("fit_end")


def training_set(network: Network, samples: Samples) -> TrainingSet:
    return TrainingSet(samples, normalised_targets(network, samples), network.normaliser)


def test_it_learns_and_reports_every_epoch() -> None:
    samples = make_batch(1, "regression", count=300)
    training = fit(make_network(samples), samples, CONFIG)
    history = training.history
    assert training.outcome == "completed"
    assert [m.epoch for m in history] == list(range(1, CONFIG.epochs + 1))
    assert history[-1].train_loss < 0.2 * history[0].train_loss
    assert training.cost.samples == len(history) * 270
    assert history[0].train_accuracy is None
    assert dict(history[-1]) == history[-1].to_dict()
    assert history[-1]["val_loss"] == history[-1].val_loss


@pytest.mark.parametrize("task", ["classification", "regression"])
@pytest.mark.parametrize("architecture", MODELS)
def test_every_network_overfits_ten_rows(architecture: str, task: Task) -> None:
    samples = make_batch(1, task, LENGTHS[architecture], count=10)
    shuffled = samples.targets_B[torch.randperm(10, generator=torch.Generator().manual_seed(0))]
    samples = replace(samples, targets_B=shuffled)
    model = MODELS[architecture].model_copy(update={"dropout": 0.0})
    torch.manual_seed(0)
    network = build_network(model, FEATURES, 2 if task == "classification" else 1, task)
    fit_normalisers(network, samples)
    last = fit(network, samples, TrainingConfig(epochs=300, batch_size=10, learning_rate=1e-2)).history[-1]
    assert last.train_loss < 0.02


def test_accuracies_are_those_of_the_epoch() -> None:
    samples = make_batch(1, "classification", count=300)
    torch.manual_seed(0)
    network = build_network(MlpConfig(hidden_units=[16], dropout=0.0), FEATURES, 2, "classification")
    fit_normalisers(network, samples)
    last = fit(network, samples, CONFIG).history[-1]
    assert last.train_accuracy is not None and last.val_accuracy is not None
    assert last.train_accuracy > 0.95
    with torch.no_grad():
        right = (network(samples.inputs()).argmax(1) == samples.targets_B).float().mean().item()
    assert right == pytest.approx(0.9 * last.train_accuracy + 0.1 * last.val_accuracy, abs=0.03)


def test_events_come_in_the_order_that_the_docstring_shows() -> None:
    samples = make_batch(1, "regression", count=110)
    listener = Listener()
    fit(make_network(samples), samples, TrainingConfig(epochs=2, batch_size=64), [listener])
    batch = ["batch_start", "batch_end"]
    epoch = ["epoch_start", *batch, *batch, "validation_start", "epoch_end"]
    assert listener.events == ["fit_start", *epoch, *epoch, "fit_end"]
    assert set(listener.events) == set(EVENTS)


def test_it_stops_early_and_keeps_the_best_weights() -> None:
    samples = make_batch(1, "regression", count=300)
    noise = torch.randn(300, generator=torch.Generator().manual_seed(5))
    hopeless = Samples(samples.rows_NC, samples.starts_B, 1, noise, samples.batches_B)
    config = TrainingConfig(epochs=200, batch_size=32, patience=3, min_delta=0.0, learning_rate=1e-2)
    training = fit(make_network(hopeless), hopeless, config)
    losses = [m.val_loss for m in training.history if m.val_loss is not None]
    assert training.outcome == "stopped_early"
    assert losses.index(min(losses)) == len(losses) - 4


def test_a_moving_average_is_validated_and_served() -> None:
    samples = make_batch(1, "regression", count=300)
    config = TrainingConfig(epochs=3, batch_size=32, learning_rate=1e-2, ema_decay=0.9)
    averaged, plain = make_network(samples), make_network(samples)
    torch.manual_seed(1)
    first = fit(averaged, samples, config).history
    torch.manual_seed(1)
    second = fit(plain, samples, config.model_copy(update={"ema_decay": None})).history
    assert [m.train_loss for m in first] == [m.train_loss for m in second]
    assert [m.val_loss for m in first] != [m.val_loss for m in second]
    assert not torch.equal(averaged.head.weight, plain.head.weight)


def test_a_reading_that_is_not_a_number_is_survived_and_a_target_is_not() -> None:
    samples = make_batch(1, "regression")
    samples.rows_NC[::7, 1] = math.nan
    fit(make_network(samples), samples, CONFIG)
    samples.targets_B[60] = math.nan
    network = make_network(make_batch(1, "regression"))
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    with pytest.raises(
        FloatingPointError, match=r"the loss is not finite at epoch 1, (step \d+|validation); not finite: .*targets"
    ):
        fit(network, samples, CONFIG)
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())


def test_steps_follow_the_order_whatever_the_piece() -> None:
    samples = make_batch(1, "regression", length=3, count=100)
    network = make_network(samples)
    order = torch.randperm(100, generator=torch.Generator().manual_seed(0))
    raw = samples.rows_NC.clone()
    steps = list(batches(training_set(network, samples), order, [1] * 100))
    inputs = torch.cat([batch.inputs for batch in steps])
    assert torch.equal(inputs, network.normaliser(samples.inputs(order)))
    assert torch.equal(torch.cat([b.targets for b in steps]), normalised_targets(network, samples)[order])
    assert torch.equal(samples.rows_NC, raw)


def test_no_batch_is_one_sample_alone() -> None:
    assert batch_sizes(96, 32) == [32, 32, 32]
    assert batch_sizes(98, 32) == [32, 32, 32, 2]
    assert batch_sizes(97, 32) == [32, 32, 33]
    assert batch_sizes(1, 32) == [1]


def test_normalised_inputs_have_mean_0_and_deviation_1() -> None:
    samples = make_batch(1, "regression", length=3, count=200)
    network = make_network(samples)
    (batch,) = batches(training_set(network, samples), torch.arange(200), [200])
    inputs = batch.inputs.reshape(-1, FEATURES)
    assert inputs.mean(0).abs().max() < 1e-5
    assert (inputs.std(0, correction=0) - 1).abs().max() < 1e-5
    assert batch.targets.mean().abs() < 1e-4


def test_several_targets_are_learned_at_once() -> None:
    samples = make_batch(1, "regression", count=400)
    both = torch.stack([samples.targets_B, -3 * samples.targets_B + 7], dim=1)
    pair = Samples(samples.rows_NC, samples.starts_B, 1, both, samples.batches_B)
    torch.manual_seed(0)
    network = build_network(MlpConfig(hidden_units=[16], dropout=0.0), FEATURES, 2, "regression")
    fit_normalisers(network, pair)
    fit(network, pair, CONFIG)
    with torch.no_grad():
        values = network(pair.inputs())
    assert values.shape == (400, 2)
    assert ((values - both).square().mean(0) < 0.05 * both.var(0)).all()


@pytest.mark.parametrize("augmentation", ["noise", "time_shift", "scaling", "channel_dropout", "mixup"])
def test_it_learns_through_every_augmentation(augmentation: str) -> None:
    samples = make_history(range(1, 4), "classification", length=4)
    torch.manual_seed(0)
    network = build_network(CnnConfig(channels=[8], hidden_units=[8], dropout=0.0), FEATURES, 2, "classification")
    fit_normalisers(network, samples)
    config = TrainingConfig.model_validate(
        {"epochs": 10, "batch_size": 32, "learning_rate": 1e-2, "augmentations": [{"kind": augmentation}]}
    )
    assert max(m.val_accuracy or 0 for m in fit(network, samples, config).history) > 0.8


@pytest.mark.parametrize("optimiser", ["adamw", "sgd"])
@pytest.mark.parametrize("preset", ["fast", "robust", "imbalanced"])
def test_every_preset_learns(preset: str, optimiser: str) -> None:
    samples = make_history(range(1, 4), "classification")
    torch.manual_seed(0)
    network = build_network(MlpConfig(hidden_units=[16]), FEATURES, 2, "classification")
    fit_normalisers(network, samples)
    rate = 0.05 if optimiser == "sgd" else 1e-2
    config = TrainingConfig.model_validate(
        {"preset": preset, "optimiser": {"kind": optimiser}, "learning_rate": rate, "batch_size": 32}
    )
    training = fit(network, samples, config)
    assert max(m.val_accuracy or 0 for m in training.history) > 0.85
    assert training.notes == ()


def test_v2_says_when_it_has_too_few_steps() -> None:
    samples = make_batch(1, "classification")
    network = build_network(MlpConfig(), FEATURES, 2, "classification")
    config = TrainingConfig.model_validate({"preset": "v2", "epochs": 2})
    assert (config.learning_rate, config.batch_size, config.epochs) == (5e-5, 256, 2)
    (note,) = fit(network, samples, config).notes
    assert note.startswith("the preset v2 learns slowly: 2 steps leave it under-trained")


def test_units_are_refitted_without_changing_the_function() -> None:
    network = make_network(make_batch(1, "regression"))
    other = make_batch(2, "regression")
    before = network.eval()(other.inputs())
    refit_normalisers(network, Samples(other.rows_NC * 2, other.starts_B, 1, other.targets_B * 3, other.batches_B))
    assert torch.allclose(network(other.inputs()), before, atol=1e-2)
    assert not torch.equal(network.normaliser.mean_C, make_network(make_batch(1, "regression")).normaliser.mean_C)
