"""Nodes that are up to no good."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from learning.federation.messages import Message, decode
from learning.federation.node import Node

Twist = Callable[[Message], Message]


def _changed(by: Callable[[np.ndarray], np.ndarray]) -> Twist:
    return lambda told: replace(told, arrays={**told.arrays, "change": by(told.arrays["change"])})


TWISTS: dict[str, Twist] = {
    "nan": _changed(lambda c: np.full_like(c, np.nan)),
    "huge": _changed(lambda c: c * np.float32(1e6)),
    "flipped": _changed(lambda c: -c),
    "shape": _changed(lambda c: c[:-1]),
    "type": _changed(lambda c: c.astype(np.float64)),
    "nonce": lambda told: replace(told, nonce="0" * 32),
}


class Hostile:
    """Answers as the node does, but twists its updates; `replay`: it sends its first update again and again."""

    def __init__(self, node: Node, kind: str) -> None:
        self._node, self._kind = node, kind
        self._first: bytes | None = None

    def answer(self, content: bytes) -> bytes:
        asked, answer = decode(content), self._node.answer(content)
        if asked.kind != "train":
            return answer
        if self._kind == "replay":
            self._first = self._first or answer
            return self._first
        return TWISTS[self._kind](decode(answer)).encode()


class Lost:
    """Does not answer from a round on, or to a kind of question in one round."""

    def __init__(self, node: Node, rounds: range, kind: str | None = None) -> None:
        self._node, self._rounds, self._kind = node, rounds, kind

    def answer(self, content: bytes) -> bytes:
        asked = decode(content)
        if asked.round in self._rounds and self._kind in (None, asked.kind):
            raise TimeoutError("the line is down")
        return self._node.answer(content)
