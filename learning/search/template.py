"""A point of a search space as configurations: which network, and how it learns."""

from collections.abc import Callable, Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Generic, TypeVar

import numpy as np
from pydantic import BaseModel, ValidationError

from learning.search.space import Point, Range, SearchSpace

CHECKED_POINTS = 300

ModelT = TypeVar("ModelT", bound=BaseModel)
TrainingT = TypeVar("TrainingT", bound=BaseModel)
ConfigT = TypeVar("ConfigT", bound=BaseModel)

Place = tuple[str, ...]
"""Where a key stands: `model` or `training`, and the keys that lead to it."""


@dataclass(frozen=True)
class Keys(Generic[ModelT, TrainingT]):
    """What a kind of network is configured by, and therefore what may be searched. networks: by architecture."""

    networks: Mapping[str, type[ModelT]]
    training: type[TrainingT]

    @cached_property
    def places(self) -> Mapping[str, Place]:
        """By name the place of a key: `loss.metric` is `training.loss.metric`.

        So much of a place's end as tells it apart is enough; `metric` would do too. The model's come first.
        """
        of_models = [("model", key) for network in self.networks.values() for key in network.model_fields]
        found: list[Place] = [*of_models, *_places(self.training, ("training",))]
        named: dict[str, Place] = {}
        for place in sorted(dict.fromkeys(found), key=len):
            for start in reversed(range(len(place))):
                named.setdefault(".".join(place[start:]), place)
        return named

    def place(self, name: str) -> Place:
        """Where a parameter stands; raises ValueError, with what is allowed, where nothing is configured by it."""
        if name not in self.places:
            shortest = {place: name for name, place in reversed(list(self.places.items()))}
            allowed = ", ".join(sorted(shortest.values()))
            raise ValueError(f"search_space.{name}: nothing is configured by it; allowed are {allowed}")
        return self.places[name]


@dataclass(frozen=True)
class Template(Generic[ModelT, TrainingT]):
    """What a search leaves as it is: the configuration, as documents, that a point's values are put into."""

    keys: Keys[ModelT, TrainingT]
    model: Mapping[str, Any]
    training: Mapping[str, Any]

    def configs(self, point: Point) -> tuple[ModelT, TrainingT]:
        """The network and the training of a point; ValueError that names the parameter and what is wrong with it."""
        document: dict[str, Any] = deepcopy({"model": dict(self.model), "training": dict(self.training)})
        places = {name: self.keys.place(name) for name in point}
        for name, place in sorted(places.items(), key=lambda item: len(item[1])):
            put(document, place, point[name])
        model, network = document["model"], self._network(document["model"]["architecture"])
        asked = {place[1] for place in places.values() if place[0] == "model"}
        # What was set for another network does not matter; what the point asks for does.
        model = {key: value for key, value in model.items() if key in network.model_fields or key in asked}
        return (
            self._checked(network, model, "model", point),
            self._checked(self.keys.training, document["training"], "training", point),
        )

    def seeded(self, more: int) -> "Template[ModelT, TrainingT]":
        """The same with another seed, so much above its own."""
        return Template(self.keys, self.model, {**self.training, "seed": self.training["seed"] + more})

    def own(self, space: SearchSpace) -> dict[str, Any]:
        """The template's own values of a space's parameters, as far as it has any."""
        model, training = self.configs({})
        document = {"model": model.model_dump(mode="json"), "training": training.model_dump(mode="json")}
        found: dict[str, Any] = {}
        for name in space.parameters:
            part: Any = document
            for key in self.keys.place(name):
                part = part.get(key, _ABSENT)
                if part is _ABSENT:
                    break
            else:
                found[name] = part
        return found

    def part_of(self, space: SearchSpace) -> Point | None:
        """The point that the template's own values make in a space; None where they lie outside of it."""
        return space.part_of(self.own(space))

    def _network(self, architecture: Any) -> type[ModelT]:
        found = next((c for name, c in self.keys.networks.items() if name == architecture), None)
        if found is None:
            allowed = ", ".join(self.keys.networks)
            raise ValueError(f"search_space.architecture: {architecture!r} is not allowed; allowed are {allowed}")
        return found

    def _checked(self, config: type[ConfigT], document: Mapping[str, Any], part: str, point: Point) -> ConfigT:
        try:
            return config.model_validate(document)
        except ValidationError as error:
            raise ValueError(self._mistake(error, part, point)) from None

    def _mistake(self, error: ValidationError, part: str, point: Point) -> str:
        first = error.errors()[0]
        where = (part, *map(str, first["loc"]))
        named = [name for name in point if where[: len(place := self.keys.place(name))] == place]
        if not named:
            return f"search_space: {point} is no configuration: {first['msg']}"
        if first["type"] == "extra_forbidden":
            key = self.keys.place(named[0])[-1]
            having = ", ".join(n for n, c in self.keys.networks.items() if key in c.model_fields)
            return f"search_space.{named[0]}: this network has no such key; those that have it: {having}"
        return f"search_space.{named[0]}: {point[named[0]]!r} is not allowed: {first['msg']}"


def check_space(
    space: SearchSpace,
    template: Template[ModelT, TrainingT],
    fits: Callable[[ModelT, TrainingT], object] | None = None,
) -> None:
    """Raise ValueError for a parameter that nothing is configured by, and for a value that is not allowed.

    fits: raises ValueError where a configuration does not go with what it is for.
    """
    named: dict[Place, str] = {}
    for name in space.parameters:
        other = named.setdefault(template.keys.place(name), name)
        if other != name:
            raise ValueError(f"search_space.{name}: the same key as {other}; leave one of them out")
    points = space.listed(CHECKED_POINTS)
    for point in _examples(space) if points is None else points:
        configs = template.configs(point)
        if fits is not None:
            try:
                fits(*configs)
            except ValueError as error:
                raise ValueError(f"search_space: {point} does not fit: {error}") from None


def put(document: dict[str, Any], place: Place, value: Any) -> None:
    """Set a value in nested mappings, which are made where they are not there."""
    *outer, last = place
    for key in outer:
        document = document.setdefault(key, {})
    document[last] = value


_ABSENT = object()


def _places(config: type[BaseModel], before: Place) -> Iterator[Place]:
    """The places of all keys of a configuration, those inside its parts too."""
    for key, field in config.model_fields.items():
        yield (*before, key)
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from _places(field.annotation, (*before, key))


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
