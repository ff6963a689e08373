"""What is wrong in a configuration, said with the key's path and what is allowed there."""

import difflib
from collections.abc import Mapping, Sequence
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel, ValidationError


def describe_mistakes(error: ValidationError, model: type[BaseModel], document: Mapping[str, Any]) -> list[str]:
    """One line per mistake: `  training.epochs: …`."""
    return [f"  {_describe(dict(e), model, document)}" for e in error.errors()]


def _describe(mistake: dict[str, Any], model: type[BaseModel], document: Mapping[str, Any]) -> str:
    location: tuple[str | int, ...] = mistake["loc"]
    path = _path(location, document)
    kind = mistake["type"]
    if kind == "extra_forbidden":
        allowed = sorted(_fields_at(model, location[:-1]))
        close = difflib.get_close_matches(str(location[-1]), allowed, n=1)
        hint = f"; did you mean {close[0]!r}?" if close else ""
        return f"{path}: unknown key; allowed are {', '.join(allowed)}{hint}"
    if kind == "missing":
        return f"{path}: is missing"
    if kind == "union_tag_not_found":
        missing = mistake["ctx"]["discriminator"].strip("'")
        outer = location[:-1] if location[-1] in _values(_models_at(model, location[:-1])) else location
        allowed = sorted(_values(_models_at(model, location), missing))
        return f"{_path(outer, document)}.{missing}: is missing; allowed are {', '.join(allowed)}"
    if kind == "value_error":
        message = str(mistake["ctx"]["error"])
        return f"{path}: {message}" if path else message
    return f"{path}: {mistake['msg'].lower()}, got {mistake['input']!r}"


def _path(location: Sequence[str | int], document: Any) -> str:
    """The keys a person wrote: pydantic's location without the tags of unions."""
    path, place = "", document
    for i, part in enumerate(location):
        try:
            place = place[part]
        except (KeyError, IndexError, TypeError):
            if i < len(location) - 1 or not isinstance(place, dict):
                continue
        path += f"[{part}]" if isinstance(part, int) else f".{part}" if path else part
    return path


def _models(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    if get_origin(annotation) is Literal:
        return []
    return [m for a in get_args(annotation) for m in _models(a)]


def _values(models: Sequence[type[BaseModel]], name: str | None = None) -> set[str]:
    """What the fields that allow only some values allow; name: of one field only."""
    return {
        str(value)
        for model in models
        for key, field in model.model_fields.items()
        if get_origin(field.annotation) is Literal and name in (None, key)
        for value in get_args(field.annotation)
    }


def _models_at(model: type[BaseModel], location: Sequence[str | int]) -> list[type[BaseModel]]:
    models = [model]
    for part in location:
        if isinstance(part, int):
            continue
        fields = [m.model_fields[part] for m in models if part in m.model_fields]
        models = (
            [n for f in fields for n in _models(f.annotation)]
            if fields
            else [m for m in models if part in _values([m])]
        )
    return models


def _fields_at(model: type[BaseModel], location: Sequence[str | int]) -> set[str]:
    return {name for m in _models_at(model, location) for name in m.model_fields}
