"""Nodes of a federation that twist what they send."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from learning.federation.messages import Message, decode
from learning.federation.node import Node
from learning.federation.run import Ask, Participant, ask_in_turn

_TWISTS: Mapping[str, Callable[[Any], Any]] = {
    "nan": lambda change_P: np.full_like(change_P, np.nan),
    "huge": lambda change_P: change_P * np.float32(1e6),
    "flipped": lambda change_P: -change_P,
    "shape": lambda change_P: change_P[1:],
}
KINDS = (*_TWISTS, "replay")
"""Not finite, × 10⁶, of the opposite sign, of another shape, and the first update again and again."""


def with_hostile(bad: Sequence[str], kind: str, nodes: Mapping[str, Node]) -> Ask:
    """Nodes in turn, some of them hostile."""
    taking_part: dict[str, Participant] = {n: _HostileNode(o, kind) if n in bad else o for n, o in nodes.items()}
    return ask_in_turn(taking_part)


class _HostileNode:
    def __init__(self, node: Node, kind: str) -> None:
        self._node, self._kind, self._first = node, kind, b""

    def answer(self, content: bytes) -> bytes:
        asked, told = decode(content), self._node.answer(content)
        if asked.kind != "train":
            return told
        self._first = self._first or told
        return self._first if self._kind == "replay" else self._twisted(decode(told)).encode()

    def _twisted(self, told: Message) -> Message:
        return replace(told, arrays={**told.arrays, "change": _TWISTS[self._kind](told.arrays["change"])})
