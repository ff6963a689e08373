"""All history again, from fresh weights."""

from dataclasses import replace

from data.samples import Samples
from learning.candidate import Candidate
from learning.normalisation import fit_normalisers
from learning.plan import LearningPlan
from learning.trainer import Progress, Training, fit
from models.network import Network, build_network


def update(plan: LearningPlan, champion: Candidate, history: Samples, progress: Progress | None) -> Candidate:
    """Train a fresh network on the whole history."""
    network, training = train_fresh(plan, history, progress)
    return replace(champion, network=network, cost=training.cost, history=training.history)


def train_fresh(plan: LearningPlan, samples: Samples, progress: Progress | None) -> tuple[Network, Training]:
    """A one-headed network trained on the samples."""
    network = build_network(plan.model, samples.rows_NC.shape[1], plan.outputs, plan.task)
    fit_normalisers(network, samples)
    return network, fit(network, samples, plan.training, progress)
