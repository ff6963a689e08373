"""The conformance suite: what every strategy promises, for every architecture and task."""

import math
from copy import deepcopy
from functools import cache

import pytest
import torch

from deployments.export import check_parity, export
from learning.candidate import Candidate
from learning.config import FineTune, HalfLives, LastLayer, Replay, Retrain, Scratch, UpdateConfig
from learning.learn import bootstrap, learns_from_history, patch, retrain, update
from learning.plan import LearningPlan
from tests.learning.streams import FEATURES, LENGTHS, make_batch, make_history, make_plan

STRATEGIES = [HalfLives(), Replay(), Retrain(), FineTune(), LastLayer(), Scratch()]
CASES = [
    pytest.param(s, architecture, task, id=f"{s.strategy}-{architecture}-{task}")
    for s in STRATEGIES
    for architecture in LENGTHS
    for task in ("classification", "regression")
]
LARGEST = ("gru", "cnn_lstm")  # half of all the time; by themselves they are in the rows of the default strategy
QUICK_CASES = [
    pytest.param(*case.values, id=case.id, marks=pytest.mark.torture)
    if case.values[1] in LARGEST and not isinstance(case.values[0], HalfLives)
    else case
    for case in CASES
]


@cache
def champion_without_memory(architecture: str, task: str) -> Candidate:
    """What every strategy that remembers no rows starts from: they train it alike, so it is trained once."""
    plan = make_plan(Scratch(), architecture, task)
    return bootstrap(plan, make_history(range(1, 3), task, LENGTHS[architecture]))


def two_steps(plan: LearningPlan, architecture: str) -> Candidate:
    length = LENGTHS[architecture]
    if isinstance(plan.update, HalfLives | Replay):
        champion = bootstrap(plan, make_history(range(1, 3), plan.task, length))
    else:
        champion = deepcopy(champion_without_memory(architecture, plan.task))
    new = make_history(range(1, 5) if learns_from_history(plan.update) else range(3, 5), plan.task, length)
    return update(plan, champion, new)


def error(candidate: Candidate, task: str, length: int) -> float:
    """Share of wrong classes, or squared error as a share of the variance, on a batch it never saw."""
    fresh = make_batch(99, task, length, count=400)
    with torch.no_grad():
        served = candidate.served()(fresh.inputs())
    if task == "classification":
        return float((served.argmax(1) != fresh.targets_B).float().mean())
    return float((served - fresh.targets_B).square().mean() / fresh.targets_B.var())


@pytest.mark.parametrize(("strategy", "architecture", "task"), QUICK_CASES)
def test_every_strategy_conforms(strategy: UpdateConfig, architecture: str, task: str) -> None:
    plan, length = make_plan(strategy, architecture, task), LENGTHS[architecture]
    candidate = two_steps(plan, architecture)
    assert error(candidate, task, length) < 0.2, "it learns"
    assert candidate.trained_through == 4
    assert candidate.cost.samples > 0
    assert all(math.isfinite(record.train_loss) for record in candidate.history)

    again = two_steps(plan, architecture)
    for name, tensor in candidate.state_tensors().items():
        assert tensor.isfinite().all(), name
        assert torch.equal(tensor, again.state_tensors()[name]), f"{name} is not the same to the bit"
    assert candidate.evidence.to_json() == again.evidence.to_json()

    exported = export(candidate.served(), FEATURES, length, candidate.state_tensors(), candidate.state_config())
    assert check_parity(candidate.served(), exported, FEATURES, length, seed=0) <= 1e-5

    restored = Candidate.from_state(candidate.state_config(), candidate.state_tensors(), candidate.memory)
    inputs = make_batch(98, task, length, count=5).inputs()
    assert torch.equal(restored.served()(inputs), candidate.served()(inputs))
    assert restored.history == candidate.history
    assert restored.state_config() == candidate.state_config()


@pytest.mark.parametrize(("strategy", "architecture", "task"), CASES)
def test_an_update_leaves_the_champion_and_torchs_generator_alone(
    strategy: UpdateConfig, architecture: str, task: str
) -> None:
    plan, length = make_plan(strategy, architecture, task, epochs=2), LENGTHS[architecture]
    champion = bootstrap(plan, make_batch(1, task, length))
    before = {name: tensor.clone() for name, tensor in champion.state_tensors().items()}
    state = torch.get_rng_state()
    candidate = update(plan, champion, make_batch(2, task, length))
    assert all(torch.equal(tensor, before[name]) for name, tensor in champion.state_tensors().items())
    assert torch.equal(state, torch.get_rng_state())
    assert any(not torch.equal(tensor, before[name]) for name, tensor in candidate.state_tensors().items())


@pytest.mark.parametrize("task", ["classification", "regression"])
def test_the_blend_turns_to_the_short_heads_when_the_meaning_changes(task: str) -> None:
    plan = make_plan(HalfLives(), "mlp", task)
    candidate = bootstrap(plan, make_history(range(1, 6), task))
    for number in range(6, 9):
        candidate = update(plan, candidate, make_batch(number, task, turned=True))
    weights = candidate.evidence.weights()
    assert sum(weights) == pytest.approx(1)
    assert weights[0] < 0.25
    turned = make_batch(99, task, turned=True)
    served = candidate.served()(turned.inputs()).detach()
    if task == "classification":
        assert (served.argmax(1) == turned.targets_B).float().mean() > 0.85
    else:
        assert (served - turned.targets_B).square().mean() < 0.2 * turned.targets_B.var()


def test_a_patch_is_a_new_blend_without_a_gradient_and_is_not_counted_twice() -> None:
    plan = make_plan(HalfLives(), "mlp", "regression")
    champion = update(
        plan, bootstrap(plan, make_history(range(1, 3), "regression")), make_batch(3, "regression", turned=True)
    )
    new = make_batch(4, "regression", turned=True)
    patched = patch(plan, champion, new)
    assert patched is not None
    assert patched.cost.samples == 0
    assert patched.trained_through == champion.trained_through
    assert patched.evidence.weights() != champion.evidence.weights()
    assert all(torch.equal(t, champion.state_tensors()[n]) for n, t in patched.state_tensors().items())
    assert update(plan, patched, new).evidence.to_json() == update(plan, champion, new).evidence.to_json()


def test_one_head_has_nothing_to_patch() -> None:
    plan = make_plan(Replay(), "mlp", "regression", epochs=1)
    assert patch(plan, bootstrap(plan, make_batch(1, "regression")), make_batch(2, "regression")) is None


@pytest.mark.parametrize("strategy", STRATEGIES, ids=lambda s: s.strategy)
def test_a_retrain_takes_new_classes(strategy: UpdateConfig) -> None:
    plan = make_plan(strategy, "mlp", "classification", epochs=2)
    champion = bootstrap(plan, make_batch(1, "classification"))
    wider = LearningPlan(plan.model, plan.training, plan.update, plan.task, 3)
    with pytest.raises(ValueError, match="2 classes, the data 3: retrain"):
        update(wider, champion, make_batch(2, "classification"))
    candidate = retrain(wider, champion, make_history(range(1, 3), "classification"))
    assert candidate.served()(make_batch(3, "classification").inputs()).shape == (200, 3)
    assert candidate.trained_through == 2
    assert len(candidate.evidence.weights()) == len(plan.half_lives)


def test_another_strategy_needs_a_retrain() -> None:
    old = make_plan(Replay(), "mlp", "regression", epochs=1)
    champion = bootstrap(old, make_batch(1, "regression"))
    plan = make_plan(HalfLives(), "mlp", "regression", epochs=1)
    with pytest.raises(ValueError, match="has 1 heads, 4 are asked for"):
        update(plan, champion, make_batch(2, "regression"))
    assert retrain(plan, champion, make_history(range(1, 3), "regression")).network.heads == 4


def test_nothing_to_learn_from_is_refused() -> None:
    plan = make_plan(HalfLives(), "mlp", "regression")
    nothing = make_batch(1, "regression").take(torch.arange(0))
    with pytest.raises(ValueError, match="no training samples"):
        bootstrap(plan, nothing)
