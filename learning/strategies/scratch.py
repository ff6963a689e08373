"""All history again, from fresh weights."""

from collections.abc import Sequence
from dataclasses import replace

from data.samples import Samples
from learning.callbacks import Callback
from learning.candidate import Candidate
from learning.fitting import fit
from learning.metrics import Training
from learning.normalisation import fit_normalisers
from learning.plan import LearningPlan
from models.network import Network, build_network


def update(plan: LearningPlan, champion: Candidate, history: Samples, callbacks: Sequence[Callback]) -> Candidate:
    """Train a fresh network on the whole history."""
    network, training = train_fresh(plan, history, callbacks)
    return replace(champion, network=network, cost=training.cost, history=training.history, notes=training.notes)


def train_fresh(plan: LearningPlan, samples: Samples, callbacks: Sequence[Callback]) -> tuple[Network, Training]:
    """A one-headed network trained on the samples."""
    network = fresh_network(plan, samples)
    return network, fit(network, samples, plan.training, callbacks)


def fresh_network(plan: LearningPlan, samples: Samples) -> Network:
    """A one-headed network that has learned nothing but the samples' units."""
    network = build_network(plan.model, samples.rows_NC.shape[1], plan.outputs, plan.task)
    fit_normalisers(network, samples)
    return network
