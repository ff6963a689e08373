"""Which training samples are held back to tell when to stop."""

import torch
from torch import Tensor

from data.samples import Samples

BLOCKS = 50
EVERY = 10
LEAST_SAMPLES = 100
"""With fewer samples nothing is held back: a handful would stop the training by luck."""


def split_validation(samples: Samples, generator: torch.Generator) -> tuple[Samples, Samples | None]:
    """Hold back a tenth of the samples as short blocks spread over time; train on the rest.

    Blocks, not single samples: neighbours in time are alike, and would reward learning by heart. Windows that share a
    row with a held-back one are left out of the training part; where that would leave none, nothing is held back.
    """
    if len(samples) < LEAST_SAMPLES:
        return samples, None
    train, held_back = split_blocks(samples, BLOCKS, EVERY, int(torch.randint(EVERY, (1,), generator=generator)))
    return (train, held_back) if len(train) else (samples, None)


def split_blocks(samples: Samples, blocks: int, every: int, offset: int) -> tuple[Samples, Samples]:
    """Cut the samples into blocks in time, and hold back every so manyth of them, from block `offset` on.

    Windows that share a row with a held-back one are left out of the training part.
    """
    count = len(samples)
    held_back_B = (torch.arange(count) * blocks // count) % every == offset
    train_B = ~held_back_B & ~_touches(samples, held_back_B)
    return samples.take(train_B.nonzero().flatten()), samples.take(held_back_B.nonzero().flatten())


def _touches(samples: Samples, chosen_B: Tensor) -> Tensor:
    """Whether a window shares a row with a chosen one."""
    row_count = samples.rows_NC.shape[0]
    edges = torch.zeros(row_count + 1, dtype=torch.int64)
    chosen_starts = samples.starts_B[chosen_B]
    edges.index_add_(0, chosen_starts, torch.ones_like(chosen_starts))
    edges.index_add_(0, chosen_starts + samples.length, -torch.ones_like(chosen_starts))
    taken_before = torch.cat([torch.zeros(1, dtype=torch.int64), (edges.cumsum(0)[:-1] > 0).cumsum(0)])
    return taken_before[samples.starts_B + samples.length] > taken_before[samples.starts_B]
