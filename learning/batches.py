"""The batches of an epoch: order the whole set at once, gather it in long pieces, split these.

Shapes: N rows, M samples of an epoch, B samples of one batch, L window length, C features, K heads.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from torch import Tensor

from data.samples import Samples
from models.network import Normaliser

MOST_STEPS = 64
PIECE_BYTES = 4_000_000
"""A piece is gathered at once: enough steps that their own work dominates, and little memory for windows."""


@dataclass(frozen=True)
class TrainingSet:
    """Samples whose inputs are still raw, and their targets in the network's units."""

    samples: Samples
    targets: Tensor
    normaliser: Normaliser

    def __len__(self) -> int:
        return len(self.samples)

    def inputs(self, index_B: Tensor) -> Tensor:
        """The normalised inputs at `index_B`."""
        return self.normaliser.normalise_(self.samples.inputs(index_B), self._moderate)

    @cached_property
    def _moderate(self) -> bool:
        """Looked up once, as windows repeat each row: two passes over each piece instead of four."""
        return self.normaliser.are_moderate(self.samples.rows_NC)


@dataclass(frozen=True)
class Batch:
    """Normalised inputs (B, C) or (B, L, C), targets (B,) or (B, O), and shares (B, K) or None: all the same."""

    inputs: Tensor
    targets: Tensor
    shares_BK: Tensor | None


def batch_sizes(count: int, batch_size: int, least: int = 2) -> list[int]:
    """Full batches and the rest, which joins the last batch where it is under `least`.

    Batch norm cannot take one sample alone, nor several processes fewer samples than they are.
    """
    full, rest = divmod(count, batch_size)
    sizes = [batch_size] * full + ([rest] if rest else [])
    if full and 0 < rest < least:
        sizes[-2:] = [batch_size + rest]
    return sizes


def batches(
    training_set: TrainingSet, order_M: Tensor, sizes: Sequence[int], shares_MK: Tensor | None = None
) -> Iterator[Batch]:
    """Batches of the given sizes, in the given order of samples, which may repeat some."""
    samples, start = training_set.samples, 0
    steps = _steps_of_a_piece(samples, max(sizes, default=1))
    for first in range(0, len(sizes), steps):
        piece_sizes = list(sizes[first : first + steps])
        index_P = order_M[start : start + sum(piece_sizes)]
        start += sum(piece_sizes)
        inputs = training_set.inputs(index_P).split(piece_sizes)
        targets = training_set.targets.index_select(0, index_P).split(piece_sizes)
        shares = (
            [None] * len(piece_sizes) if shares_MK is None else shares_MK.index_select(0, index_P).split(piece_sizes)
        )
        yield from map(Batch, inputs, targets, shares)
        del inputs  # before the next piece is gathered


def _steps_of_a_piece(samples: Samples, batch_size: int) -> int:
    bytes_of_a_step = batch_size * samples.length * samples.rows_NC.shape[1] * samples.rows_NC.element_size()
    return max(1, min(MOST_STEPS, PIECE_BYTES // bytes_of_a_step))
