"""Samples of earlier batches, kept for replay: the latest, and a reservoir of those before.

Shapes: M samples, L window length, C features.
"""

from dataclasses import dataclass

import numpy as np
import polars as pl
import torch
from torch import Tensor

from data.samples import Samples, join_samples


@dataclass(frozen=True)
class Memory:
    """A reservoir of evicted samples first, then the latest ones, each with its batch number.

    evicted: how many samples have left the latest ones since the start; the reservoir stands for all of them.
    """

    samples: Samples
    reservoir_count: int
    evicted: int

    def __len__(self) -> int:
        return len(self.samples)

    @property
    def weights(self) -> Tensor:
        """How many samples of the past each kept one stands for, float64."""
        weights_M = torch.ones(len(self), dtype=torch.float64)
        weights_M[: self.reservoir_count] = self.evicted / max(self.reservoir_count, 1)
        return weights_M

    def absorb(self, new: Samples, capacity: int) -> "Memory":
        """The memory after a batch; half of the capacity holds the latest samples.

        The oldest batches leave first, and within a batch chance decides: its rows may be sorted by class. Uses
        torch's global generator. The reservoir follows Vitter's algorithm R, so that each evicted sample is in it
        with the same probability.
        """
        latest = join_samples([_part(self.samples, self.reservoir_count, len(self)), _compact(new)])
        order_M = torch.argsort(latest.batches_B * len(latest) + torch.randperm(len(latest)))
        leaving = max(0, len(latest) - (capacity + 1) // 2)
        stays = latest.take(order_M[leaving:].sort().values)
        pool = join_samples([_part(self.samples, 0, self.reservoir_count), latest.take(order_M[:leaving])])
        reservoir = pool.take(_draw_reservoir(self.reservoir_count, self.evicted, leaving, capacity // 2))
        joined = _compact(join_samples([reservoir, stays]))
        return Memory(joined, len(reservoir), self.evicted + leaving)

    def to_frame(self) -> pl.DataFrame:
        """One row a sample: `batch`, `target`, `reservoir`, `evicted`, and `input` as an (L, C) array."""
        shape = (self.samples.length, self.samples.rows_NC.shape[1])
        inputs = _compact(self.samples).rows_NC.numpy().reshape(-1, *shape)
        return pl.DataFrame(
            {
                "batch": pl.Series(self.samples.batches_B.numpy(), dtype=pl.Int64),
                "target": pl.Series(self.samples.targets_B.numpy()),
                "reservoir": pl.Series(np.arange(len(self)) < self.reservoir_count),
                "evicted": pl.Series(np.full(len(self), self.evicted), dtype=pl.Int64),
                "input": pl.Series(inputs, dtype=pl.Array(pl.Float32, shape)),
            }
        )

    @classmethod
    def from_frame(cls, frame: pl.DataFrame) -> "Memory":
        """The memory that `to_frame` wrote."""
        shape = frame.schema["input"]
        assert isinstance(shape, pl.Array)
        length, features = shape.shape
        samples = Samples(
            torch.from_numpy(frame["input"].to_numpy().reshape(-1, features).copy()),
            torch.arange(frame.height) * length,
            length,
            torch.from_numpy(frame["target"].to_numpy().copy()),
            torch.from_numpy(frame["batch"].to_numpy().copy()),
        )
        evicted = 0 if frame.is_empty() else int(frame["evicted"][0])
        return cls(samples, int(frame["reservoir"].sum()), evicted)


def empty_memory(like: Samples) -> Memory:
    """A memory without samples, for windows and targets of the same kind."""
    return Memory(_compact(like.take(torch.arange(0))), 0, 0)


def _part(samples: Samples, start: int, end: int) -> Samples:
    return samples.take(torch.arange(start, end))


def _compact(samples: Samples) -> Samples:
    """The same samples over rows of their own: no row that none of them needs is kept."""
    rows_NC = samples.inputs().reshape(-1, samples.rows_NC.shape[1])
    starts_B = torch.arange(len(samples)) * samples.length
    return Samples(rows_NC, starts_B, samples.length, samples.targets_B, samples.batches_B)


def _draw_reservoir(kept: int, seen: int, arriving: int, capacity: int) -> Tensor:
    """Which of `kept` old and `arriving` new samples form the reservoir after algorithm R."""
    slots = list(range(min(kept, capacity)))
    chances = torch.rand(arriving, dtype=torch.float64).tolist()
    for i, chance in enumerate(chances):
        slot = len(slots) if len(slots) < capacity else int(chance * (seen + i + 1))
        if slot < len(slots):
            slots[slot] = kept + i
        elif len(slots) < capacity:
            slots.append(kept + i)
    return torch.tensor(slots, dtype=torch.int64)
