"""What may be tried: lists, ranges, log ranges, and parameters that are asked only where another has some value."""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations, islice
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import optuna

Point = dict[str, Any]
"""One value for each parameter that is asked for."""

MOST_LISTED = 10_000
"""A space with more points than this is sampled, never listed."""

NARROWEST, DIGITS = 1e-8, 12
"""Of a range of floats, its width over its values, and how many digits of each are kept."""

_NOWHERE: Mapping[str, tuple[Any, ...]] = {}


@dataclass(frozen=True)
class Choice:
    """One of some values. Numbers are a scale, so that samplers know which lie near one another; others are not."""

    values: Sequence[Any]
    when: Mapping[str, Sequence[Any]] = field(default_factory=lambda: _NOWHERE)

    def __post_init__(self) -> None:
        if not self.values:
            raise ValueError("an empty list: give at least one value")
        if any(value == other for value, other in combinations(self.values, 2)):
            raise ValueError(f"a value stands twice in {list(self.values)}")
        if any(isinstance(value, float) and not math.isfinite(value) for value in self.values):
            raise ValueError(f"{list(self.values)} holds a number that is not finite")

    @property
    def scale(self) -> list[Any] | None:
        """The values in order, where they are numbers."""
        return sorted(self.values) if all(_is_number(value) for value in self.values) else None

    def points(self) -> list[Any]:
        """All values."""
        return list(self.values)

    def suggest(self, name: str, trial: "optuna.Trial") -> Any:
        """Let a trial's sampler choose."""
        if (scale := self.scale) is not None:
            return scale[trial.suggest_int(name, 0, len(scale) - 1)]
        return json.loads(trial.suggest_categorical(name, [json.dumps(value) for value in self.values]))

    def encode(self, value: Any) -> Any:
        """What `suggest` asks the sampler for where it gives this value; ValueError for one that is not here."""
        if value not in self.values:
            raise ValueError(f"{value!r} is none of {list(self.values)}")
        return json.dumps(value) if self.scale is None else self.scale.index(value)

    def draw(self, rng: np.random.Generator) -> Any:
        """A value at random."""
        return self.values[int(rng.integers(len(self.values)))]

    def with_value(self, value: Any) -> "Choice":
        """The same with one value more, where it is not there."""
        return self if value in self.values else replace(self, values=[*self.values, value])


@dataclass(frozen=True)
class Range:
    """Whole numbers or floats from `low` through `high`; log: each decade as likely as the next; step: a grid."""

    low: float
    high: float
    step: float | None = None
    log: bool = False
    when: Mapping[str, Sequence[Any]] = field(default_factory=lambda: _NOWHERE)

    def __post_init__(self) -> None:
        ends = f"{self.low} to {self.high}"
        if not (
            _is_number(self.low) and _is_number(self.high) and math.isfinite(self.low) and math.isfinite(self.high)
        ):
            raise ValueError(f"low and high must be finite numbers, not {self.low!r} and {self.high!r}")
        if self.low >= self.high:
            raise ValueError(f"{ends} is no range: low must be less than high")
        if (
            not self.whole
            and self.step is None
            and self.high - self.low < NARROWEST * max(abs(self.low), abs(self.high))
        ):
            raise ValueError(f"{ends} is too narrow a range: it has hardly two values that differ")
        if self.log and self.low <= 0:
            raise ValueError(f"a log range must begin above 0, not at {self.low}")
        if self.step is not None and (self.log or not _is_number(self.step) or self.step <= 0):
            raise ValueError("step must be a number above 0, and goes with a range that is not log")
        if self.step is not None and self.whole != isinstance(self.step, int):
            raise ValueError(f"step {self.step} does not fit {ends}: both whole numbers, or both floats")

    @property
    def whole(self) -> bool:
        """Whether the values are whole numbers."""
        return isinstance(self.low, int) and isinstance(self.high, int)

    def points(self) -> list[Any] | None:
        """All values; None where they are without number."""
        if self.whole:
            return list(range(int(self.low), int(self.high) + 1, int(self.step or 1)))
        if self.step is None:
            return None
        count = math.floor((self.high - self.low) / self.step + 1e-9) + 1
        return [round(self.low + i * self.step, 12) for i in range(count)]

    def suggest(self, name: str, trial: "optuna.Trial") -> Any:
        """Let a trial's sampler choose."""
        if self.whole:
            return trial.suggest_int(name, int(self.low), int(self.high), step=int(self.step or 1), log=self.log)
        return self._short(trial.suggest_float(name, self.low, self.high, step=self.step, log=self.log))

    def encode(self, value: Any) -> Any:
        """The value itself; ValueError for one that does not lie in the range."""
        listed = self.points()
        inside = _is_number(value) and self.low <= value <= self.high and (listed is None or value in listed)
        if not inside:
            raise ValueError(f"{value!r} does not lie in {self.low} to {self.high}")
        return value

    def draw(self, rng: np.random.Generator) -> Any:
        """A value at random."""
        listed = self.points()
        if self.log:
            drawn = math.exp(rng.uniform(math.log(self.low), math.log(self.high)))
            return min(int(self.high), max(int(self.low), round(drawn))) if self.whole else self._short(drawn)
        if listed is not None:
            return listed[int(rng.integers(len(listed)))]
        return self._short(float(rng.uniform(self.low, self.high)))

    def with_value(self, value: Any) -> "Range":
        """The same as far as a value, where that is a number that it may end at."""
        fits = _is_number(value) and (isinstance(value, int) or not self.whole) and (value > 0 or not self.log)
        if not fits or self.step is not None:
            return self
        return replace(self, low=min(self.low, value), high=max(self.high, value))

    def _short(self, value: float) -> float:
        """As many digits of it as are kept, within the range."""
        return min(self.high, max(self.low, float(f"{value:.{DIGITS}g}")))


def LogRange(low: float, high: float, when: Mapping[str, Sequence[Any]] = _NOWHERE) -> Range:
    """A range in which each decade is as likely as the next."""
    return Range(low, high, log=True, when=when)


Parameter = Choice | Range


@dataclass(frozen=True)
class SearchSpace:
    """Parameters by name, those that others depend on first."""

    parameters: Mapping[str, Parameter]

    def suggest(self, trial: "optuna.Trial") -> Point:
        """A point that the trial's sampler chooses."""
        point: Point = {}
        for name, parameter in self.parameters.items():
            if _asked(parameter, point):
                point[name] = parameter.suggest(name, trial)
        return point

    def encode(self, point: Mapping[str, Any]) -> dict[str, Any]:
        """What the sampler chose where it gave this point; ValueError for a point that is not in the space."""
        asked = {name: parameter for name, parameter in self.parameters.items() if _asked(parameter, point)}
        if set(asked) != set(point):
            raise ValueError(f"a point of this space has values for {', '.join(asked)}, not for {', '.join(point)}")
        return {name: parameter.encode(point[name]) for name, parameter in asked.items()}

    def holds(self, point: Mapping[str, Any]) -> bool:
        """Whether the point is one of the space."""
        try:
            self.encode(point)
        except ValueError:
            return False
        return True

    def part_of(self, values: Mapping[str, Any]) -> Point | None:
        """The point with these values, of which there may be more; None where one is missing or lies outside."""
        point: Point = {}
        for name, parameter in self.parameters.items():
            if _asked(parameter, point):
                if name not in values:
                    return None
                point[name] = values[name]
        return point if self.holds(point) else None

    def with_values(self, values: Mapping[str, Any]) -> "SearchSpace":
        """The space with these values in it, as far as its parameters can have them."""
        return SearchSpace(
            {name: p.with_value(values[name]) if name in values else p for name, p in self.parameters.items()}
        )

    def listed(self, most: int = MOST_LISTED) -> list[Point] | None:
        """All points in order; None where there are more than `most`."""
        found = list(islice(self._points(tuple(self.parameters), {}), most + 1))
        return None if len(found) > most or None in found else [point for point in found if point is not None]

    def draw(self, rng: np.random.Generator) -> Point:
        """A point at random."""
        point: Point = {}
        for name, parameter in self.parameters.items():
            if _asked(parameter, point):
                point[name] = parameter.draw(rng)
        return point

    def describe(self) -> dict[str, Any]:
        """The space as plain JSON."""
        return {name: {"kind": type(p).__name__, **_plain(p)} for name, p in self.parameters.items()}

    def _points(self, names: tuple[str, ...], point: Point) -> Iterator[Point | None]:
        """Points that go on from this one; None where a parameter has values without number."""
        if not names:
            yield point
            return
        name, rest = names[0], names[1:]
        parameter = self.parameters[name]
        if not _asked(parameter, point):
            yield from self._points(rest, point)
            return
        values = parameter.points()
        if values is None:
            yield None
            return
        for value in values:
            yield from self._points(rest, {**point, name: value})


def key_of(point: Mapping[str, Any]) -> str:
    """The same text for the same point."""
    return json.dumps(dict(point), sort_keys=True)


def _asked(parameter: Parameter, point: Mapping[str, Any]) -> bool:
    return all(other in point and point[other] in values for other, values in parameter.when.items())


def _plain(parameter: Parameter) -> dict[str, Any]:
    when = {name: list(values) for name, values in parameter.when.items()}
    if isinstance(parameter, Choice):
        return {"values": list(parameter.values), "when": when}
    return {"low": parameter.low, "high": parameter.high, "step": parameter.step, "log": parameter.log, "when": when}


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
