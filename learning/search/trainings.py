"""A point of a search space as a training: which network, how it learns, and how it does on held-out samples.

Shapes: B samples, K classes, O outputs.
"""

import math
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from time import monotonic
from typing import Any, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import TypeAdapter, ValidationError

from data.config import Task
from data.samples import Samples
from learning.callbacks import Callback
from learning.config import TrainingConfig
from learning.fitting import fit
from learning.metrics import Training
from learning.normalisation import fit_normalisers
from learning.randomness import seeded
from learning.resume import Checkpoints
from learning.search.objectives import Objective
from learning.search.space import Point, Range, SearchSpace, key_of
from learning.search.study import Measured, OutOfTimeError
from learning.state import TrainingState
from learning.validation import split_blocks
from models.config import ModelConfig
from models.network import Network, build_network

HELD_OUT_BLOCKS, HELD_OUT_EVERY = 25, 5
LEAST_SAMPLES = 50
CHECKED_POINTS = 300
SCORED_AT_ONCE = 4096

_MODEL: TypeAdapter[ModelConfig] = TypeAdapter(ModelConfig)
NETWORKS: Mapping[str, type[Any]] = {
    c.model_fields["architecture"].default: c for c in get_args(get_args(ModelConfig)[0])
}

MEASURES = ("score", "latency_ms", "size_mb", "cost")

Score = Callable[[NDArray[np.float32], NDArray[Any]], float]
"""Class probabilities (B, K) or values (B,), and class numbers or values (B,), to a score."""

Exported = Callable[[Network, int], Mapping[str, float]]
"""A trained network and its window's length, to `latency_ms` and `size_mb` of its exported file."""


@dataclass(frozen=True)
class Template:
    """What a search leaves as it is: the configuration, as documents, that a point's values are put into."""

    model: Mapping[str, Any]
    training: Mapping[str, Any]

    def configs(self, point: Point) -> tuple[ModelConfig, TrainingConfig]:
        """The network and the training of a point; ValueError that names the parameter and what is wrong with it."""
        model, training = dict(self.model), dict(self.training)
        for name, value in point.items():
            part, key = _place(name)
            (model if part == "model" else training)[key] = value
        known = NETWORKS[model["architecture"]].model_fields if model.get("architecture") in NETWORKS else None
        own = {_place(name)[1] for name in point if _place(name)[0] == "model"}
        if known is not None:  # what was set for another network does not matter; what the point asks for does
            model = {key: value for key, value in model.items() if key in known or key in own}
        try:
            return _MODEL.validate_python(model), TrainingConfig.model_validate(training)
        except ValidationError as error:
            raise ValueError(_mistake(error, point)) from None

    def part_of(self, space: SearchSpace) -> Point | None:
        """The point that the template's own values make in a space; None where they lie outside of it."""
        try:
            model, training = self.configs({})
        except ValueError:
            return None
        known = {"model": model.model_dump(mode="json"), "training": training.model_dump(mode="json")}
        places = {name: _place(name) for name in space.parameters}
        return space.part_of({name: known[part][key] for name, (part, key) in places.items() if key in known[part]})


def check_space(space: SearchSpace, template: Template) -> None:
    """Raise ValueError for a parameter that nothing is configured by, and for a value that is not allowed."""
    for name in space.parameters:
        _place(name)
    points = space.listed(CHECKED_POINTS)
    for point in _examples(space) if points is None else points:
        template.configs(point)


@dataclass(frozen=True)
class Trainings:
    """Trains points on one part of some samples and scores them on another, which no training sees.

    objectives: what is measured. cost: samples that went through a gradient step × weights, in billions; of a training
    that was stopped on a rung it is what the whole would have cost.
    """

    train: Samples
    held_out: Samples
    task: Task
    outputs: int
    template: Template
    objectives: tuple[str, ...]
    score: Score
    exported: Exported
    folder: Path
    epochs: int

    def __call__(self, point: Point, epochs: int, until: float | None) -> Measured:
        """Train from the point's checkpoint, or from fresh weights, through so many of `epochs`, and measure."""
        model, training = self.template.configs(point)
        training = training.model_copy(update={"threads": training.threads or 1})
        folder = self.folder / sha256(key_of(point).encode()).hexdigest()[:24]
        look = Look(math.ceil(training.epochs * epochs / self.epochs), until)
        with seeded(training.seed, 0):
            network = build_network(model, self.train.rows_NC.shape[1], self.outputs, self.task)
            fit_normalisers(network, self.train)
            trained = fit(network, self.train, training, [look], Checkpoints(folder))
            if trained.outcome == "paused":
                if not look.reached:
                    raise OutOfTimeError
                look.put_best(network)
        measured = self._measure(network, training, trained)
        if epochs == self.epochs:
            shutil.rmtree(folder, ignore_errors=True)
        return measured

    def _measure(self, network: Network, training: TrainingConfig, trained: Training) -> Measured:
        weights = sum(p.numel() for p in network.parameters())
        epochs = len(trained.history)
        whole = training.epochs / epochs if trained.outcome == "paused" else 1.0
        predictions = predict(network, self.held_out)
        if not np.isfinite(predictions).all():
            raise FloatingPointError("its predictions are not finite")
        found = {
            "score": self.score(predictions, self.held_out.targets_B.numpy()),
            "cost": trained.cost.samples * whole * weights / 1e9,
        }
        if {"latency_ms", "size_mb"} & set(self.objectives):
            found.update(self.exported(network, self.train.length))
        details = {
            "samples": trained.cost.samples,
            "seconds": sum(epoch.time_per_epoch for epoch in trained.history),
            "epochs": epochs,
            "weights": weights,
            "outcome": trained.outcome,
            **{name: value for name, value in found.items() if name not in self.objectives},
        }
        return Measured({name: float(found[name]) for name in self.objectives}, details)


class Look(Callback):
    """Ends a training for a while after so many epochs, or once the time is over."""

    def __init__(self, epochs: int, until: float | None) -> None:
        self._epochs, self._until = epochs, until
        self.reached = False
        self._best: dict[str, torch.Tensor] | None = None

    def batch_start(self, state: TrainingState) -> None:
        """Stop before the first batch of the epoch after the last, or before any that is too late."""
        self.reached = state.epoch > self._epochs
        if self.reached or (self._until is not None and monotonic() >= self._until):
            state.stop("paused")

    def fit_end(self, state: TrainingState) -> None:
        """Keep the best weights so far."""
        self._best = state.best.weights

    def put_best(self, network: Network) -> None:
        """Let the network be the best so far, where anything was validated."""
        if self._best is not None:
            network.load_state_dict(self._best)


@torch.no_grad()
def predict(network: Network, samples: Samples) -> NDArray[np.float32]:
    """Class probabilities (B, K) or values (B,) of a network with one head."""
    network.eval()
    parts = torch.arange(len(samples)).split(SCORED_AT_ONCE)
    return torch.cat([network(samples.inputs(part)) for part in parts]).numpy()


def objectives_of(names: Sequence[str], score_is_loss: bool) -> tuple[Objective, ...]:
    """What is to be made good, the score first; raises ValueError, with what is allowed, for anything else."""
    if not names or names[0] != "score" or len(set(names)) < len(names) or not set(names) <= set(MEASURES):
        raise ValueError(
            f"objectives: {', '.join(names) or 'none'}; score comes first, then any of {', '.join(MEASURES[1:])}"
        )
    return tuple(Objective(name, lower_is_better=score_is_loss or name != "score") for name in names)


def hold_out(samples: Samples, seed: int) -> tuple[Samples, Samples]:
    """What trials learn from, and a fifth in blocks spread over time that they are scored on.

    Raises ValueError where there is too little to hold anything out.
    """
    if len(samples) < LEAST_SAMPLES:
        raise ValueError(f"training_data: {len(samples)} samples are too few to tune on; {LEAST_SAMPLES} at least")
    return split_blocks(samples, HELD_OUT_BLOCKS, HELD_OUT_EVERY, seed % HELD_OUT_EVERY)


def folds_of(trainings: Trainings, samples: Samples, seed: int, count: int) -> list[Trainings]:
    """The same trainings on other splits of the samples than the seed's own, each with another seed.

    A split that leaves nothing to learn from is left out.
    """
    folds: list[Trainings] = []
    for number in range(1, count + 1):
        train, held_out = hold_out(samples, seed + number)
        training = {**trainings.template.training, "seed": trainings.template.training["seed"] + number}
        template, folder = replace(trainings.template, training=training), trainings.folder / f"fold-{number}"
        if len(train):
            folds.append(replace(trainings, train=train, held_out=held_out, template=template, folder=folder))
    return folds


def _place(name: str) -> tuple[str, str]:
    """Which part of a configuration a parameter belongs to, and its key there."""
    models = {key for network in NETWORKS.values() for key in network.model_fields}
    part, _, key = name.rpartition(".")
    if part in ("", "model") and key in models:
        return "model", key
    if part in ("", "training") and key in TrainingConfig.model_fields:
        return "training", key
    allowed = ", ".join(sorted(models | set(TrainingConfig.model_fields)))
    raise ValueError(f"search_space.{name}: nothing is configured by it; allowed are {allowed}")


def _mistake(error: ValidationError, point: Point) -> str:
    first = error.errors()[0]
    named = [name for name in point if _place(name)[1] in [str(part) for part in first["loc"]]]
    if not named:
        return f"search_space: {point} is no configuration: {first['msg']}"
    if first["type"] == "extra_forbidden":
        architectures = ", ".join(n for n, c in NETWORKS.items() if _place(named[0])[1] in c.model_fields)
        return f"search_space.{named[0]}: this network has no such key; those that have it: {architectures}"
    return f"search_space.{named[0]}: {point[named[0]]!r} is not allowed: {first['msg']}"


def _examples(space: SearchSpace) -> Iterator[Point]:
    """Points at random, and beside each those where a parameter that decides about no other is at one of its ends."""
    rng = np.random.default_rng(0)
    deciding = {other for parameter in space.parameters.values() for other in parameter.when}
    for _ in range(CHECKED_POINTS // 10):
        point = space.draw(rng)
        yield point
        for name in point.keys() - deciding:
            parameter = space.parameters[name]
            ends = [parameter.low, parameter.high] if isinstance(parameter, Range) else parameter.values
            yield from ({**point, name: value} for value in ends)
