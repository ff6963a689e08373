"""Many trainings at once: the weights of one after another, and to the bit the same in any company."""

from collections.abc import Mapping
from typing import Any

import pytest
import torch
from torch import Tensor

from data.config import Task
from data.samples import Samples
from learning.config import Scratch, TrainingConfig
from learning.fleet import learns_in_a_fleet
from learning.learn import bootstrap, bootstrap_many
from learning.plan import LearningPlan
from models.config import GruConfig, MlpConfig


def plan_of(task: Task = "classification", units: tuple[int, ...] = (32, 16), **training: Any) -> LearningPlan:
    options = {"epochs": 4, "batch_size": 32, **training}
    model = MlpConfig(hidden_units=list(units), dropout=0.1)
    return LearningPlan(model, TrainingConfig(**options), Scratch(), task, 3 if task == "classification" else 1)


def part(rows: int, task: Task = "classification", seed: int = 0) -> Samples:
    """Samples whose number says how many they are; one reading is missing."""
    generator = torch.Generator().manual_seed(seed)
    rows_NC = torch.randn(rows, 5, generator=generator)
    values = rows_NC[:, 0] + rows_NC[:, 1] * rows_NC[:, 2]
    targets = (values > 0).long() + (values > 1).long() if task == "classification" else 3 + 2 * values
    rows_NC[1, 3] = float("nan")
    return Samples(rows_NC, torch.arange(rows), 1, targets, torch.full((rows,), rows))


def learn(plan: LearningPlan, parts: list[Samples]) -> list[Mapping[str, Tensor]]:
    found = {place: candidate.network.state_dict() for place, candidate in bootstrap_many(plan, parts)}
    return [found[place] for place in range(len(parts))]


@pytest.mark.parametrize("task", ["classification", "regression"])
@pytest.mark.parametrize("units", [(32, 16), (17,)])
def test_in_any_company_the_same_to_the_bit(task: Task, units: tuple[int, ...]) -> None:
    plan, parts = plan_of(task, units), [part(rows, task) for rows in (300, 97, 129, 460, 33, 210, 77, 150)]
    together = learn(plan, parts)
    for place in (0, 2, 7):
        (alone,) = learn(plan, [parts[place]])
        assert all(torch.equal(alone[name], together[place][name]) for name in alone)
    reversed_order = learn(plan, parts[::-1])[::-1]
    for first, second in zip(together, reversed_order, strict=True):
        assert all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize("task", ["classification", "regression"])
@pytest.mark.parametrize(
    "training",
    [
        {},
        {"schedule": {"kind": "plateau", "patience": 0}, "patience": 1, "weight_decay": 0.1},
        {"schedule": {"kind": "one_cycle"}, "learning_rate": 1e-3},
    ],
)
def test_as_one_after_another(task: Task, training: dict[str, Any]) -> None:
    plan = plan_of(task, **training)
    parts = [part(rows, task, seed) for seed, rows in enumerate((300, 64, 143, 33))]
    for place, candidate in bootstrap_many(plan, parts):
        ordinary = bootstrap(plan, parts[place])
        for name, tensor in ordinary.network.state_dict().items():
            assert torch.allclose(candidate.network.state_dict()[name], tensor, atol=2e-3), name
        assert candidate.cost.samples == ordinary.cost.samples
        assert candidate.trained_through == ordinary.trained_through
        losses = [record.train_loss for record in ordinary.history]
        assert [record.train_loss for record in candidate.history] == pytest.approx(losses, rel=1e-3)


def test_label_smoothing_in_the_stack() -> None:
    plan, samples = plan_of(loss={"kind": "cross_entropy", "label_smoothing": 0.1}), part(200)
    ((_, candidate),) = bootstrap_many(plan, [samples])
    ordinary = bootstrap(plan, samples).network.state_dict()
    assert all(torch.allclose(t, ordinary[n], atol=2e-3) for n, t in candidate.network.state_dict().items())


@pytest.mark.parametrize(
    "plan",
    [
        plan_of(clip_norm=1.0),
        plan_of(loss={"kind": "focal"}),
        plan_of(optimiser={"kind": "sgd"}),
        plan_of(augmentations=[{"kind": "noise", "deviations": 0.1}]),
        LearningPlan(GruConfig(units=8), TrainingConfig(epochs=1), Scratch(), "classification", 3),
    ],
)
def test_what_the_stack_does_not_know_is_trained_as_ever(plan: LearningPlan) -> None:
    samples = part(120)
    assert not learns_in_a_fleet(plan, samples)
    (network,) = learn(plan, [samples])
    ordinary = bootstrap(plan, samples).network.state_dict()
    assert all(torch.equal(tensor, ordinary[name]) for name, tensor in network.items())


def test_a_loss_that_is_not_finite_is_told() -> None:
    samples = part(120, "regression")
    samples.targets_B[7] = float("inf")
    with pytest.raises(FloatingPointError, match="targets"):
        learn(plan_of("regression"), [part(90, "regression"), samples])
