"""Updates from a memory: heads of several half-lives over one trunk. Shapes: M samples, K heads."""

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from data.samples import Samples
from learning.blend import decay
from learning.callbacks import Callback
from learning.candidate import Candidate
from learning.memory import Memory
from learning.metrics import Training
from learning.plan import LearningPlan
from learning.refresh import refresh, shrink_and_perturb
from models.network import Network


def update(plan: LearningPlan, champion: Candidate, new: Samples, callbacks: Sequence[Callback]) -> Candidate:
    """Put the new batches into the memory and refresh all heads from it."""
    memory = remember(plan, champion.memory, new)
    network = deepcopy(champion.network)
    training = refresh_heads(plan, network, memory)
    return replace(champion, network=network, memory=memory, cost=training.cost, history=training.history)


def refresh_heads(plan: LearningPlan, network: Network, memory: Memory) -> Training:
    """Train every head, in place, on the memory seen through its half-life."""
    shrink_and_perturb(network)
    return refresh(network, memory.samples, head_shares(memory, plan.half_lives), plan.training)


def remember(plan: LearningPlan, memory: Memory, new: Samples) -> Memory:
    """The memory after the new batches, one after the other."""
    for number in new.batches_B.unique().tolist():
        of_batch = new.take((new.batches_B == number).nonzero().flatten())
        memory = memory.absorb(of_batch, plan.update.memory_rows)
    return memory


def head_shares(memory: Memory, half_lives: tuple[float, ...]) -> Tensor:
    """How each head's attention is spread over the memory, (M, K): weight · 2^(−age/half-life), columns sum to one."""
    ages_M = (memory.samples.batches_B.max() - memory.samples.batches_B).numpy()
    decays_MK = torch.from_numpy(np.stack([decay(ages_M, h) for h in half_lives], 1))
    shares_MK = decays_MK * memory.weights[:, None]
    return shares_MK / shares_MK.sum(0)
