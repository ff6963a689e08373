"""What coordinator and nodes say to each other: eight bytes of length, so much JSON, and arrays as a safetensors file.

Reading a message runs no code.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import safetensors.numpy
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError

_LENGTH = 8

Array = NDArray[Any]


class RefusedError(ValueError):
    """A message that the coordinator does not take, with the reason."""


@dataclass(frozen=True)
class Message:
    """kind: what is asked or answered. nonce: of the phase it belongs to. node: who is asked or answers."""

    kind: str
    federation: str
    round: int
    nonce: str
    node: str
    body: Mapping[str, Any] = field(default_factory=dict[str, Any])
    arrays: Mapping[str, Array] = field(default_factory=dict[str, Array])

    def answer(self, body: Mapping[str, Any], arrays: Mapping[str, Array] | None = None) -> "Message":
        """What the node says to this."""
        return Message(self.kind, self.federation, self.round, self.nonce, self.node, body, arrays or {})

    def encode(self) -> bytes:
        """As bytes; without arrays there is no file of them."""
        head = {"kind": self.kind, "federation": self.federation, "round": self.round, "nonce": self.nonce}
        text = json.dumps(
            {**head, "node": self.node, "body": dict(self.body)}, sort_keys=True, allow_nan=False
        ).encode()
        arrays = {name: np.ascontiguousarray(array) for name, array in self.arrays.items()}
        return len(text).to_bytes(_LENGTH, "little") + text + (safetensors.numpy.save(arrays) if arrays else b"")


class _Head(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    kind: str
    federation: str
    round: int = Field(ge=0)
    nonce: str
    node: str
    body: dict[str, Any]


def decode(content: bytes) -> Message:
    """The message that the bytes are; raises RefusedError where they are none."""
    try:
        end = _LENGTH + int.from_bytes(content[:_LENGTH], "little")
        head = _Head.model_validate_json(content[_LENGTH:end])
        arrays = safetensors.numpy.load(content[end:]) if len(content) > end else {}
    except (safetensors.SafetensorError, ValidationError, ValueError, KeyError, TypeError):
        raise RefusedError("this is no message, or a broken one") from None
    return Message(head.kind, head.federation, head.round, head.nonce, head.node, head.body, arrays)
