"""A request's header fields by name, read once."""

from starlette.types import Scope


def fields_of(scope: Scope) -> dict[str, str]:
    """By name in small letters; what comes twice is joined as one list, as HTTP has it."""
    fields: dict[str, str] | None = scope.get("lehr.fields")
    if fields is None:
        fields = scope["lehr.fields"] = {}
        for name, value in scope["headers"]:
            key, text = name.decode("latin-1"), value.decode("latin-1")
            fields[key] = f"{fields[key]}, {text}" if key in fields else text
    return fields
