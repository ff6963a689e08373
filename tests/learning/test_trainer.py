import math

import pytest
import torch

from data.samples import Samples
from learning.config import TrainingConfig
from learning.normalisation import fit_normalisers, normalised, refit_normalisers
from learning.trainer import EpochRecord, batches, falling_rates, fit
from models.config import MlpConfig
from models.network import Network, build_network
from tests.learning.streams import FEATURES, make_batch

CONFIG = TrainingConfig(epochs=30, batch_size=32, learning_rate=1e-2)


def make_network(samples: Samples) -> Network:
    torch.manual_seed(0)
    network = build_network(MlpConfig(hidden_units=[16]), FEATURES, 1, "regression")
    fit_normalisers(network, samples)
    return network


def test_it_learns_and_reports_every_epoch() -> None:
    samples = make_batch(1, "regression", count=300)
    records: list[EpochRecord] = []
    training = fit(make_network(samples), samples, CONFIG, records.append)
    assert tuple(records) == training.history
    assert [r.epoch for r in records] == list(range(1, len(records) + 1))
    assert records[-1].loss < 0.2 * records[0].loss
    assert training.cost.samples == len(records) * 270


def test_it_stops_early_and_keeps_the_best_weights() -> None:
    samples = make_batch(1, "regression", count=300)
    noise = torch.randn(300, generator=torch.Generator().manual_seed(5))
    hopeless = Samples(samples.rows_NC, samples.starts_B, 1, noise, samples.batches_B)
    config = TrainingConfig(epochs=200, batch_size=32, patience=3, learning_rate=1e-2)
    network = make_network(hopeless)
    history = fit(network, hopeless, config).history
    losses = [r.validation_loss for r in history if r.validation_loss is not None]
    assert len(history) < 200
    assert losses.index(min(losses)) == len(losses) - 4


def test_a_reading_that_is_not_a_number_is_survived_and_a_target_is_not() -> None:
    samples = make_batch(1, "regression")
    samples.rows_NC[::7, 1] = math.nan
    fit(make_network(samples), samples, CONFIG)
    samples.targets_B[60] = math.nan
    with pytest.raises(
        FloatingPointError, match=r"the loss is not finite at (step \d+|validation); not finite: .*targets"
    ):
        fit(make_network(make_batch(1, "regression")), samples, CONFIG)


def test_steps_follow_the_order_whatever_the_piece() -> None:
    samples = make_batch(1, "regression", length=3, count=100)
    order = torch.randperm(100, generator=torch.Generator().manual_seed(0))
    steps = list(batches(samples, order, 1))
    assert torch.equal(torch.cat([inputs for inputs, _, _ in steps]), samples.inputs(order))
    assert torch.equal(torch.cat([targets for _, targets, _ in steps]), samples.targets_B[order])


def test_the_rate_warms_up_and_falls_to_a_twentieth() -> None:
    rates = list(falling_rates(100, 1.0))
    assert rates[0] == pytest.approx(0.2)
    assert max(rates) > 0.95
    assert 0.05 <= rates[-1] < 0.07


def test_normalised_samples_have_mean_0_and_deviation_1() -> None:
    samples = make_batch(1, "regression", length=3, count=200)
    scaled = normalised(make_network(samples), samples)
    inputs = scaled.inputs().reshape(-1, FEATURES)
    assert inputs.mean(0).abs().max() < 1e-5
    assert (inputs.std(0, correction=0) - 1).abs().max() < 1e-5
    assert scaled.targets_B.mean().abs() < 1e-4


def test_units_are_refitted_without_changing_the_function() -> None:
    network = make_network(make_batch(1, "regression"))
    other = make_batch(2, "regression")
    before = network.eval()(other.inputs())
    refit_normalisers(network, Samples(other.rows_NC * 2, other.starts_B, 1, other.targets_B * 3, other.batches_B))
    assert torch.allclose(network(other.inputs()), before, atol=1e-2)
    assert not torch.equal(network.normaliser.mean_C, make_network(make_batch(1, "regression")).normaliser.mean_C)
