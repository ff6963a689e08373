"""Updates of the head alone, from the new samples. For comparison."""

from copy import deepcopy

from data.samples import Samples
from learning.candidate import Candidate
from learning.plan import LearningPlan
from learning.strategies.fine_tune import learn_from_new
from learning.trainer import Progress


def update(plan: LearningPlan, champion: Candidate, new: Samples, progress: Progress | None) -> Candidate:
    """Train the head on the new samples; trunk and normalisers stay as they are."""
    network = deepcopy(champion.network)
    network.trunk.requires_grad_(False)
    candidate = learn_from_new(plan, champion, network, new, network.head.parameters(), progress)
    network.trunk.requires_grad_(True)
    return candidate
