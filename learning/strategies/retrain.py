"""All history again, from a shrunk and perturbed warm start."""

from collections.abc import Sequence
from dataclasses import replace

from data.samples import Samples
from learning.callbacks import Callback
from learning.candidate import Candidate
from learning.fitting import fit
from learning.metrics import Training
from learning.normalisation import refit_normalisers
from learning.plan import LearningPlan
from learning.refresh import shrink_and_perturb
from models.network import Network, build_network


def update(plan: LearningPlan, champion: Candidate, history: Samples, callbacks: Sequence[Callback]) -> Candidate:
    """Train the champion's network on the whole history."""
    network, training = train_warm(plan, champion, history, callbacks)
    return replace(champion, network=network, cost=training.cost, history=training.history, notes=training.notes)


def train_warm(
    plan: LearningPlan, champion: Candidate, samples: Samples, callbacks: Sequence[Callback]
) -> tuple[Network, Training]:
    """A one-headed network that starts from what the champion serves; new classes get a fresh head."""
    network = champion.served()
    if network.outputs != plan.outputs:
        network = _with_fresh_head(plan, network)
    shrink_and_perturb(network)
    refit_normalisers(network, samples)
    return network, fit(network, samples, plan.training, callbacks)


def _with_fresh_head(plan: LearningPlan, network: Network) -> Network:
    other = build_network(plan.model, network.features, plan.outputs, plan.task)
    other.trunk.load_state_dict(network.trunk.state_dict())
    other.normaliser.load_state_dict(network.normaliser.state_dict())
    return other
