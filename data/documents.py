"""Files that people write: YAML without surprises, checked against a configuration, each mistake named by its key."""

from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from data.mistakes import describe_mistakes

Checked = TypeVar("Checked", bound=BaseModel)

DEEPEST = 30
_OPENING = (
    yaml.BlockMappingStartToken,
    yaml.BlockSequenceStartToken,
    yaml.FlowMappingStartToken,
    yaml.FlowSequenceStartToken,
)
_CLOSING = (yaml.BlockEndToken, yaml.FlowMappingEndToken, yaml.FlowSequenceEndToken)


def load_document(model: type[Checked], path: Path, kind: str) -> Checked:
    """Read a file; raises ValueError as `read_yaml` and `check_document` do."""
    return check_document(model, read_yaml(path), str(path), kind)


def check_document(model: type[Checked], document: Mapping[str, Any], origin: str, kind: str) -> Checked:
    """A document that was read from `origin` as what it says, such as a `kind` of "pipeline file".

    Raises ValueError that names every mistake with its key's path and what is allowed there.
    """
    try:
        return model.model_validate(document)
    except ValidationError as error:
        mistakes = describe_mistakes(error, model, document)
        raise ValueError("\n".join([f"{origin} is not a valid {kind}:", *mistakes])) from None


class _UniqueKeyLoader(yaml.SafeLoader):
    """YAML as the safe loader reads it, but a key given twice is a mistake."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[Any] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if key in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key!r} stands twice", key_node.start_mark
                )
            seen.add(key)
        return super().construct_mapping(node, deep)


def read_yaml(path: Path) -> dict[str, Any]:
    """A YAML mapping from a file; raises ValueError that names the file and the place."""
    try:
        return parse_yaml(path.read_text(encoding="utf-8"), str(path))
    except OSError as error:
        raise ValueError(f"cannot read {path}: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not YAML: {error}") from None


def _refuse_explosives(text: str, origin: str) -> None:
    depth = 0
    for token in yaml.scan(text, yaml.SafeLoader):
        if isinstance(token, yaml.AliasToken):
            raise ValueError(f"{origin}: write out what the alias *{token.value} stands for")
        depth += isinstance(token, _OPENING) - isinstance(token, _CLOSING)
        if depth > DEEPEST:
            raise ValueError(f"{origin} is nested more than {DEEPEST} deep")


def parse_yaml(text: str, origin: str) -> dict[str, Any]:
    """A YAML mapping (JSON is one) from a text that was read from `origin`; raises ValueError as `read_yaml` does.

    An empty text is an empty mapping. Aliases are refused, as a few lines of them can stand for gigabytes, and so is
    what is nested too deep.
    """
    try:
        _refuse_explosives(text, origin)
        document = yaml.load(text, _UniqueKeyLoader)
    except (yaml.YAMLError, RecursionError) as error:
        raise ValueError(f"{origin} is not YAML: {error}") from None
    if document is None:
        return {}
    if not isinstance(document, dict):
        raise ValueError(f"{origin} must hold keys and values, not {type(document).__name__}")
    return document
