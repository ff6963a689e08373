"""Updates of the head alone, from the new samples. For comparison."""

from collections.abc import Sequence
from copy import deepcopy

from data.samples import Samples
from learning.callbacks import Callback
from learning.candidate import Candidate
from learning.plan import LearningPlan
from learning.strategies.fine_tune import learn_from_new


def update(plan: LearningPlan, champion: Candidate, new: Samples, callbacks: Sequence[Callback]) -> Candidate:
    """Train the head on the new samples; trunk and normalisers stay as they are."""
    network = deepcopy(champion.network)
    network.trunk.requires_grad_(False)
    candidate = learn_from_new(plan, champion, network, new, network.head.parameters(), callbacks)
    network.trunk.requires_grad_(True)
    return candidate
