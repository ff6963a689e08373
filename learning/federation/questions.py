"""What is asked of nodes: the messages of one phase, and how many answers it takes."""

import hashlib
import hmac
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from typing import Any, TypeVar

import numpy as np

from learning.federation.checks import check_array, check_done, check_join, check_keys, check_revealed, check_shares
from learning.federation.fixed_point import Integers
from learning.federation.masking import unmask
from learning.federation.messages import Array, Message

LEAST_HIDDEN = 3
"""Of fewer vectors a sum hides too little."""
_CHECKS: Mapping[str, Callable[[Message], None]] = {
    "join": check_join,
    "keys": check_keys,
    "shares": check_shares,
    "unmask": check_revealed,
    "done": check_done,
}

Replies = Mapping[str, Message]
_End = TypeVar("_End")


@dataclass(frozen=True)
class Ask:
    """What is asked of some nodes. least: answers without which nothing moves. check: refuses an answer, or returns."""

    kind: str
    round: int
    messages: dict[str, Message]
    least: int
    check: Callable[[Message], None]


Phases = Generator[Ask, Replies, _End]
"""Yields what is asked next, is sent what was answered, and returns what came of it."""


@dataclass(frozen=True)
class Questions:
    """Makes the messages of one federation. secret: nonces follow from it. quorum: which share of nodes must answer."""

    federation: str
    secret: bytes
    quorum: float

    def ask(
        self,
        kind: str,
        number: int,
        names: Sequence[str],
        body: Mapping[str, Any] | None = None,
        arrays: Mapping[str, Array] | None = None,
        check: Callable[[Message], None] | None = None,
        least: int | None = None,
    ) -> Ask:
        """The same question to all these nodes in a round."""
        messages = {name: self.message(kind, number, name, body or {}, arrays or {}) for name in names}
        least = self.least(len(names)) if least is None else least
        return Ask(kind, number, messages, least, check or _CHECKS.get(kind, _anything))

    def message(
        self, kind: str, number: int, node: str, body: Mapping[str, Any], arrays: Mapping[str, Array]
    ) -> Message:
        """What one node is asked."""
        return Message(kind, self.federation, number, self.nonce(number, f"{kind} {node}"), node, body, arrays)

    def nonce(self, number: int, what: str) -> str:
        """32 hex digits that nobody can foresee, and that are the same again after a restart."""
        return hmac.new(self.secret, f"{self.federation} {number} {what}".encode(), hashlib.sha256).hexdigest()[:32]

    def least(self, asked: int) -> int:
        """How many of so many nodes must answer."""
        return max(1, ceil(self.quorum * asked - 1e-9))


def agree_on_keys(questions: Questions, names: Sequence[str]) -> Phases[Replies]:
    """Let every pair of nodes have a secret for the whole federation; without it a node takes no part."""
    least = max(LEAST_HIDDEN, questions.least(len(names)))
    told = yield questions.ask("keys", 0, names, least=least)
    keys = {name: str(reply.body["public"]) for name, reply in told.items()}
    return (yield questions.ask("pairs", 0, sorted(keys), {"keys": keys}, least=least))


def hidden_sum(
    questions: Questions,
    kind: str,
    number: int,
    asked: Sequence[str],
    size: int,
    body: Mapping[str, Any] | None = None,
    arrays: Mapping[str, Array] | None = None,
) -> Phases[tuple[Integers, list[str]]]:
    """The sum of the vectors that the nodes answer, modulo 2^64, and whose they are; no single one is seen."""
    least = max(LEAST_HIDDEN, questions.least(len(asked)))
    threshold = max(least, len(asked) // 2 + 1)  # never fewer than those whose noise was counted on
    told = yield questions.ask("shares", number, asked, {"names": asked, "threshold": threshold}, least=threshold)
    inboxes = {n: {o: r.body["sealed"].get(n, "") for o, r in told.items() if o != n} for n in sorted(told)}
    covered = {name: str(reply.body["covered"]) for name, reply in told.items()}
    messages = {
        name: questions.message(kind, number, name, {**(body or {}), "inbox": inbox}, arrays or {})
        for name, inbox in inboxes.items()
    }
    answers = yield Ask(kind, number, messages, threshold, _masked_check(size))
    survivors = sorted(answers)
    naming = {"survivors": survivors, "threshold": threshold}
    opened = yield questions.ask("unmask", number, survivors, naming, least=threshold)
    revealed = {name: reply.body["revealed"] for name, reply in opened.items()}
    masked = {name: reply.arrays["masked"] for name, reply in answers.items()}
    return unmask(masked, covered, revealed, threshold), survivors


def _masked_check(size: int) -> Callable[[Message], None]:
    def check(answer: Message) -> None:
        check_array(answer, "masked", (size,), np.uint64)

    return check


def _anything(answer: Message) -> None:
    pass
