"""Updates from the new samples alone. For comparison: they forget."""

from collections.abc import Iterable, Sequence
from copy import deepcopy
from dataclasses import replace

import torch
from torch.nn import Parameter

from data.samples import Samples
from learning.callbacks import Callback
from learning.candidate import Candidate
from learning.plan import LearningPlan
from learning.refresh import refresh
from models.network import Network


def update(plan: LearningPlan, champion: Candidate, new: Samples, callbacks: Sequence[Callback]) -> Candidate:
    """Train all weights on the new samples."""
    return learn_from_new(plan, champion, deepcopy(champion.network), new, None, callbacks)


def learn_from_new(
    plan: LearningPlan,
    champion: Candidate,
    network: Network,
    new: Samples,
    parameters: Iterable[Parameter] | None,
    callbacks: Sequence[Callback],
) -> Candidate:
    """Train the named parameters of `network`, which becomes the candidate's."""
    shares_M1 = torch.full((len(new), 1), 1 / len(new), dtype=torch.float64)
    training = refresh(network, new, shares_M1, plan.training, parameters)
    return replace(champion, network=network, cost=training.cost, history=training.history)
