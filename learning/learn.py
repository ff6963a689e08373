"""The ladder's rungs: bootstrap, patch, update, retrain.

Every function is pure: it returns a new `Candidate` and leaves the champion as it was. Randomness comes from the
training seed and the number of the newest batch.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from time import perf_counter
from typing import Protocol

import torch

from data.samples import Samples
from learning.blend import Evidence, no_evidence
from learning.callbacks import Callback
from learning.candidate import Candidate
from learning.config import HalfLives, Replay, Retrain, Scratch, UpdateConfig
from learning.fleet import Pupil, learns_in_a_fleet, train_fleet
from learning.memory import Memory, empty_memory
from learning.metrics import Cost, Training
from learning.plan import LearningPlan
from learning.randomness import seeded
from learning.strategies import fine_tune, half_lives, last_layer, replay, scratch
from learning.strategies import retrain as retrain_strategy
from learning.trainer import Trainer
from models.network import Network, build_network, copy_head


class _Update(Protocol):
    def __call__(
        self, plan: LearningPlan, champion: Candidate, samples: Samples, callbacks: Sequence[Callback], /
    ) -> Candidate: ...


_UPDATES: Mapping[str, _Update] = {
    "half_lives": half_lives.update,
    "replay": replay.update,
    "retrain": retrain_strategy.update,
    "fine_tune": fine_tune.update,
    "last_layer": last_layer.update,
    "scratch": scratch.update,
}


def learns_from_history(config: UpdateConfig) -> bool:
    """Whether `update` is to be given all history instead of the new samples alone."""
    return isinstance(config, Retrain | Scratch)


def bootstrap(plan: LearningPlan, samples: Samples, callbacks: Sequence[Callback] = ()) -> Candidate:
    """The first candidate, trained from fresh weights on all samples there are.

    Raises ValueError for no samples, FloatingPointError where a loss is not finite.
    """
    with seeded(plan.training.seed, _last_batch(samples)):
        network, training = scratch.train_fresh(plan, samples, callbacks)
        return first_candidate(plan, samples, network, training)


def first_candidate(plan: LearningPlan, samples: Samples, network: Network, training: Training) -> Candidate:
    """What a one-headed network is as a candidate once it was trained on all samples there are."""
    number = _last_batch(samples)
    network = copy_head(network, len(plan.half_lives))
    evidence = no_evidence(plan.task, network.heads, number)
    return _candidate(plan, network, _memory_of(plan, samples), evidence, number, training)


def bootstrap_many(plan: LearningPlan, parts: Sequence[Samples]) -> Iterator[tuple[int, Candidate]]:
    """What `bootstrap` makes of each part, with its place, in the order in which they are done.

    The plan's strategy is `scratch`. Small networks learn many at once (`learning.fleet`): their weights are those of
    `bootstrap` within rounding, whoever else is there. Raises ValueError and FloatingPointError as `bootstrap` does.
    """
    assert isinstance(plan.update, Scratch), "only networks of their own are trained many at once"
    together = [place for place, samples in enumerate(parts) if len(samples) and learns_in_a_fleet(plan, samples)]
    for place in sorted(set(range(len(parts))) - set(together)):
        yield place, bootstrap(plan, parts[place])
    if not together:
        return
    like = build_network(plan.model, parts[together[0]].rows_NC.shape[1], plan.outputs, plan.task)
    pupils = (_pupil(plan, place, parts[place]) for place in together)
    for pupil in train_fleet(pupils, like, plan.training):
        samples, network = parts[pupil.place], pupil.trainer.network
        number = _last_batch(samples)
        evidence = no_evidence(plan.task, 1, number)
        training = pupil.trainer.finish()
        yield pupil.place, _candidate(plan, network, empty_memory(samples), evidence, number, training)


def _pupil(plan: LearningPlan, place: int, samples: Samples) -> Pupil:
    with seeded(plan.training.seed, _last_batch(samples)):
        network = scratch.fresh_network(plan, samples)
        trainer = Trainer(network, samples, plan.training)
        generator = torch.Generator()
        generator.set_state(torch.random.default_generator.get_state())
    return Pupil(place, trainer, generator)


def patch(plan: LearningPlan, champion: Candidate, new: Samples) -> Candidate | None:
    """The champion's heads under a blend that knows the new batches; None where there is nothing to blend.

    It has not learned from the new batches: `trained_through` stays, and a later `update` is given them again.
    """
    if champion.network.heads == 1 or len(new) == 0 or champion.network.outputs != plan.outputs:
        return None
    started = perf_counter()
    evidence = _observe(champion, new)
    return replace(champion, evidence=evidence, cost=Cost(0, perf_counter() - started), history=())


def update(plan: LearningPlan, champion: Candidate, new: Samples, callbacks: Sequence[Callback] = ()) -> Candidate:
    """Learn from all training samples of the batches after `champion.trained_through`.

    Strategies that learn from history (`learns_from_history`) are given all of it. The evidence of a batch comes from
    the champion's heads, before they learn from it.
    Raises ValueError for no samples, for other classes than the champion's, and for a champion of another number of
    heads: both need a retrain. FloatingPointError where a loss is not finite.
    """
    number = _last_batch(new)
    _refuse_another_shape(plan, champion)
    evidence = _observe(champion, new)
    with seeded(plan.training.seed, number):
        candidate = _UPDATES[plan.update.strategy](plan, champion, new, callbacks)
    return replace(candidate, evidence=evidence, trained_through=number, strategy=plan.update.strategy)


def retrain(plan: LearningPlan, champion: Candidate, history: Samples, callbacks: Sequence[Callback] = ()) -> Candidate:
    """Learn everything again from a warm start (the strategy `scratch`: from fresh weights); classes may be new.

    Raises ValueError for no samples, FloatingPointError where a loss is not finite.
    """
    number = _last_batch(history)
    same_heads = (champion.network.outputs, champion.network.heads) == (plan.outputs, len(plan.half_lives))
    evidence = _observe(champion, history) if same_heads else no_evidence(plan.task, len(plan.half_lives), number)
    with seeded(plan.training.seed, number):
        if isinstance(plan.update, Scratch):
            network, training = scratch.train_fresh(plan, history, callbacks)
        else:
            network, training = retrain_strategy.train_warm(plan, champion, history, callbacks)
        memory = _memory_of(plan, history)
        if isinstance(plan.update, HalfLives):
            network = copy_head(network, len(plan.half_lives))
            refreshed = half_lives.refresh_heads(plan, network, memory)
            cost = training.cost + refreshed.cost
            training = replace(training, history=training.history + refreshed.history, cost=cost)
    return _candidate(plan, network, memory, evidence, number, training)


def _candidate(
    plan: LearningPlan, network: Network, memory: Memory, evidence: Evidence, number: int, training: Training
) -> Candidate:
    strategy = plan.update.strategy
    network.eval()
    return Candidate(network, memory, evidence, number, strategy, training.cost, training.history, training.notes)


def _memory_of(plan: LearningPlan, samples: Samples) -> Memory:
    keeps = isinstance(plan.update, HalfLives | Replay)
    return half_lives.remember(plan, empty_memory(samples), samples) if keeps else empty_memory(samples)


@torch.no_grad()
def _observe(champion: Candidate, new: Samples) -> Evidence:
    """The champion's evidence after the batches it has not observed yet, in order."""
    evidence, network = champion.evidence, champion.network.eval()
    if network.heads == 1:
        return evidence
    for number in new.batches_B.unique().tolist():
        if number > champion.evidence.observed_through:
            of_batch = new.take((new.batches_B == number).nonzero().flatten())
            outputs_BKO = network.head_outputs(of_batch.inputs())
            evidence = evidence.observe(outputs_BKO.numpy(), of_batch.targets_B.numpy(), number)
    return evidence


def _last_batch(samples: Samples) -> int:
    if len(samples) == 0:
        raise ValueError("there are no training samples to learn from")
    return int(samples.batches_B.max())


def _refuse_another_shape(plan: LearningPlan, champion: Candidate) -> None:
    network, heads = champion.network, len(plan.half_lives)
    if network.outputs != plan.outputs:
        raise ValueError(f"the champion knows {network.outputs} classes, the data {plan.outputs}: retrain it")
    if network.heads != heads:
        raise ValueError(
            f"the champion ({champion.strategy}) has {network.heads} heads, {heads} are asked for: retrain it"
        )
