"""A search space as people write it: in Python, or in a YAML file."""

from collections.abc import Mapping
from graphlib import CycleError, TopologicalSorter
from typing import Any, cast

from learning.search.space import Choice, Parameter, Range, SearchSpace


def parse_space(document: Any) -> SearchSpace:
    """A search space from `{"layers": [2, 3], "learning_rate": {"low": 1e-4, "high": 1e-2, "log": true}}`.

    A list is a choice; `{"values": […]}` too. `when: {other: [values]}` asks for a parameter only where another has one
    of these values. Raises ValueError that names the parameter, what is wrong, and what is allowed.
    """
    if not isinstance(document, Mapping):
        raise ValueError('search_space: a mapping of names to values, such as {"layers": [2, 3]}')
    if not document:
        raise ValueError("search_space: nothing to search; give at least one parameter with its values")
    parameters: dict[str, Parameter] = {}
    for name, given in ((str(name), given) for name, given in cast(Mapping[Any, Any], document).items()):
        try:
            parameters[name] = _parse_parameter(given)
        except (ValueError, TypeError) as error:
            raise ValueError(f"search_space.{name}: {error}") from None
    for name, parameter in parameters.items():
        _check_condition(name, parameter, parameters)
    try:
        order = list(TopologicalSorter({name: list(p.when) for name, p in parameters.items()}).static_order())
    except CycleError as error:
        raise ValueError(f"search_space: these depend on one another: {', '.join(error.args[1])}") from None
    places = {name: i for i, name in enumerate(order)}
    return SearchSpace(dict(sorted(parameters.items(), key=lambda item: places[item[0]])))


def _parse_parameter(given: Any) -> Parameter:
    match given:
        case Choice() | Range():
            return given
        case list() | tuple():
            return Choice(tuple(given))  # pyright: ignore[reportUnknownArgumentType]
        case {"values": list() | tuple() as values, **rest} if set(rest) <= {"when"}:
            return Choice(tuple(values), _condition(rest))
        case {"low": low, "high": high, **rest} if set(rest) <= {"step", "log", "when"}:
            return Range(low, high, rest.get("step"), bool(rest.get("log", False)), _condition(rest))
        case _:
            ways = "[1, 2, 3], {values: […]} or {low: 1, high: 9, log: true}"
            raise ValueError(f"{given!r} is neither a list nor a range; write {ways}")


def _condition(rest: Mapping[str, Any]) -> Mapping[str, tuple[Any, ...]]:
    given = rest.get("when", {})
    if not isinstance(given, Mapping):
        raise ValueError("when is a mapping of another parameter to a list of its values")
    return {name: tuple(values) if isinstance(values, (list, tuple)) else (values,) for name, values in given.items()}


def _check_condition(name: str, parameter: Parameter, parameters: Mapping[str, Parameter]) -> None:
    for other, values in parameter.when.items():
        where = f"search_space.{name}.when.{other}"
        if other not in parameters or other == name:
            allowed = ", ".join(sorted(set(parameters) - {name})) or "none"
            raise ValueError(f"{where}: there is no such parameter; there are {allowed}")
        for value in values:
            try:
                parameters[other].encode(value)
            except ValueError as error:
                raise ValueError(f"{where}: {error}") from None
