"""A point of a search space as a training, and how its network does on what no training sees."""

import math
import shutil
from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from time import monotonic
from typing import Any, Generic, Protocol, TypeVar

import torch
from torch import nn

from learning.callbacks import Followed, Listener
from learning.metrics import Training
from learning.search.objectives import Objective
from learning.search.space import Point, key_of
from learning.search.study import Measured, OutOfTimeError
from learning.search.template import Template

MEASURES = ("score", "latency_ms", "size_mb", "cost")

NetworkT = TypeVar("NetworkT", bound=nn.Module)


class TooLittleError(ValueError):
    """Of what there is nothing could be held out, or nothing would be left to learn from."""


class Split(Protocol[NetworkT]):
    """What is learned from and what is scored on, and how; a kind of network has its own."""

    def learn(self, model: Any, training: Any, look: "Look", checkpoints: Path) -> tuple[NetworkT, Training]:
        """A network that learned as these say, from its checkpoint where there is one."""
        ...

    def score(self, network: NetworkT) -> float:
        """Of what was held out; raises FloatingPointError where what it says is not finite."""
        ...

    def exported(self, network: NetworkT) -> Mapping[str, float]:
        """`latency_ms` and `size_mb` of its exported file."""
        ...


class Material(Protocol[NetworkT]):
    """What may be searched on, in as many splits as are asked for."""

    def __len__(self) -> int: ...

    def contents(self) -> Iterable[bytes]:
        """All that a score follows from but the configuration: the same for the same material."""
        ...

    def split(self, seed: int) -> Split[NetworkT]:
        """A fifth held out, by a seed; raises TooLittleError."""
        ...


@dataclass(frozen=True)
class Trainings(Generic[NetworkT]):
    """Trains points on one part of a split and scores them on the other.

    objectives: what is measured. cost: samples that went through a gradient step × weights, in billions; of a training
    that was stopped on a rung it is what the whole would have cost.
    """

    split: Split[NetworkT]
    template: Template[Any, Any]
    objectives: tuple[str, ...]
    folder: Path
    epochs: int

    def __call__(self, point: Point, epochs: int, until: float | None) -> Measured:
        """Train from the point's checkpoint, or from fresh weights, through so many of `epochs`, and measure.

        Raises MemoryError where there is too little for it.
        """
        model, training = self.template.configs(point)
        folder = self.folder / sha256(key_of(point).encode()).hexdigest()[:24]
        look = Look(math.ceil(training.epochs * epochs / self.epochs), until)
        with _memory_named():
            network, trained = self.split.learn(model, training, look, folder)
        if trained.outcome == "paused":
            if not look.reached:
                raise OutOfTimeError
            look.serve(network)
        measured = self._measure(network, training.epochs, trained)
        if epochs == self.epochs:
            shutil.rmtree(folder, ignore_errors=True)
        return measured

    def _measure(self, network: NetworkT, most: int, trained: Training) -> Measured:
        weights = sum(p.numel() for p in network.parameters())
        epochs = len(trained.history)
        whole = most / epochs if trained.outcome == "paused" else 1.0
        found = {"score": self.split.score(network), "cost": trained.cost.samples * whole * weights / 1e9}
        if {"latency_ms", "size_mb"} & set(self.objectives):
            found.update(self.split.exported(network))
        details = {
            "samples": trained.cost.samples,
            "seconds": sum(epoch.time_per_epoch for epoch in trained.history),
            "epochs": epochs,
            "weights": weights,
            "outcome": trained.outcome,
            **{name: value for name, value in found.items() if name not in self.objectives},
        }
        return Measured({name: float(found[name]) for name in self.objectives}, details)


@contextmanager
def _memory_named() -> Generator[None]:
    """torch says with a RuntimeError of no type of its own that the processor's memory is too short."""
    try:
        yield
    except RuntimeError as error:
        if isinstance(error, torch.OutOfMemoryError) or "allocate memory" in str(error):
            raise MemoryError("it needs more memory than there is") from error
        raise


class Look(Listener[Followed]):
    """Ends a training for a while after so many epochs, or once the time is over."""

    def __init__(self, epochs: int, until: float | None) -> None:
        self._epochs, self._until = epochs, until
        self.reached = False
        self._state: Followed | None = None

    def batch_start(self, state: Followed) -> None:
        """Stop before the first batch of the epoch after the last, or before any that is too late."""
        self.reached = len(state.history) >= self._epochs
        if self.reached or (self._until is not None and monotonic() >= self._until):
            state.stop("paused")

    def fit_end(self, state: Followed) -> None:
        """Know the training that is to be served from."""
        self._state = state

    def serve(self, network: nn.Module) -> None:
        """Let the network be as it would be served now."""
        assert self._state is not None, "the training has ended"
        self._state.serve(network)


def objectives_of(names: Sequence[str], score_is_loss: bool) -> tuple[Objective, ...]:
    """What is to be made good, the score first; raises ValueError, with what is allowed, for anything else."""
    if not names or names[0] != "score" or len(set(names)) < len(names) or not set(names) <= set(MEASURES):
        raise ValueError(
            f"objectives: {', '.join(names) or 'none'}; score comes first, then any of {', '.join(MEASURES[1:])}"
        )
    return tuple(Objective(name, lower_is_better=score_is_loss or name != "score") for name in names)


def folds_of(
    trainings: Trainings[NetworkT], material: Material[NetworkT], seed: int, count: int
) -> list[Trainings[NetworkT]]:
    """The same trainings on other splits than the seed's own, each with another seed.

    A split that leaves nothing to learn from is left out.
    """
    folds: list[Trainings[NetworkT]] = []
    for number in range(1, count + 1):
        try:
            split = material.split(seed + number)
        except TooLittleError:
            continue
        template, folder = trainings.template.seeded(number), trainings.folder / f"fold-{number}"
        folds.append(replace(trainings, split=split, template=template, folder=folder))
    return folds
