"""Updates from new samples mixed with memory, after shrink-and-perturb.

It is `half_lives` with a single head, whose half-life is ∞ (`LearningPlan.half_lives`): every sample of the past counts
the same, the reservoir's for those it stands for.
"""

from collections.abc import Sequence

from data.samples import Samples
from learning.callbacks import Callback
from learning.candidate import Candidate
from learning.plan import LearningPlan
from learning.strategies import half_lives


def update(plan: LearningPlan, champion: Candidate, new: Samples, callbacks: Sequence[Callback]) -> Candidate:
    """Put the new batches into the memory and train from it."""
    return half_lives.update(plan, champion, new, callbacks)
