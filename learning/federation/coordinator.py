"""The coordinator: it asks, checks and adds up, and never sees a row.

Whoever drives it brings its messages to the nodes and their answers back, in this process or over a network. Between
two rounds all there is stands in its `State`.
"""

from collections.abc import Sequence

from learning.config import TrainingConfig
from learning.federation.checks import check_answer
from learning.federation.config import FederationConfig, check_training
from learning.federation.messages import Message, RefusedError, decode
from learning.federation.protocol import Protocol
from learning.federation.questions import LEAST_HIDDEN, Questions, Replies
from learning.federation.results import FederatedModel
from learning.federation.state import State
from models.config import ModelConfig


class QuorumError(ValueError):
    """Too few nodes answered."""


class Coordinator:
    """One federation at work.

    names: the nodes that may join. secret: 32 bytes, from which nonces follow. start: what to go on from instead of
    fresh weights. state: what an earlier coordinator had after its last whole round.
    Raises ValueError where the parts do not fit together.
    """

    def __init__(
        self,
        name: str,
        names: Sequence[str],
        model: ModelConfig | None,
        training: TrainingConfig,
        federation: FederationConfig,
        secret: bytes,
        start: FederatedModel | None = None,
        state: State | None = None,
    ) -> None:
        if len({*names}) != len(names) or not names:
            raise ValueError("a federation needs nodes, each with a name of its own")
        if federation.secure and len(names) < LEAST_HIDDEN:
            raise ValueError(f"secure: the sum of {len(names)} nodes hides too little; {LEAST_HIDDEN} at least")
        check_training(federation, training)
        self.state = State() if state is None else state
        questions = Questions(name, secret, federation.quorum)
        self._phases = Protocol(questions, names, model, training, federation, start, self.state).run()
        self.result: FederatedModel | None = None
        self._move(None)

    @property
    def finished(self) -> bool:
        """Whether there is a result."""
        return self.result is not None

    @property
    def ready(self) -> bool:
        """Whether all that were asked have answered."""
        return self.finished or len(self.replies) == len(self.ask.messages)

    @property
    def enough(self) -> bool:
        """Whether the phase may end without those that are silent."""
        return self.finished or len(self._sound()) >= self.ask.least

    def message_for(self, node: str) -> Message | None:
        """What the node is asked and has not answered yet; None: nothing now."""
        if self.finished or node in self.replies:
            return None
        return self.ask.messages.get(node)

    def receive(self, node: str, content: bytes) -> None:
        """Take a node's answer.

        Raises RefusedError where nothing is asked of it now, and for what is no sound answer, which is noted.
        """
        if self.message_for(node) is None:
            raise RefusedError("nothing is asked of it now")
        try:
            answer = decode(content)
            check_answer(answer, self.ask.messages[node])
            if "failed" not in answer.body:
                self.ask.check(answer)
        except RefusedError as refused:
            self.state.refuse(self.ask.round, node, str(refused))
            raise
        self.replies[node] = answer

    def advance(self) -> None:
        """End the phase with the answers there are; raises QuorumError where they are too few."""
        sound, asked = self._sound(), self.ask.messages
        if len(sound) < self.ask.least:
            silent = ", ".join(name for name in sorted(asked) if name not in sound)
            raise QuorumError(
                f"{self._why()}round {self.ask.round}, {self.ask.kind}: {len(sound)} of {len(asked)} nodes answered, "
                f"{self.ask.least} are needed; missing: {silent}"
            )
        for name in sorted({*asked} - {*sound}):
            reason = str(self.replies[name].body["failed"]) if name in self.replies else "it was silent"
            self.state.lose(self.ask.round, name, f"{self.ask.kind}: {reason}")
        self._move(sound)

    def _why(self) -> str:
        reasons = {str(reply.body["failed"]) for reply in self.replies.values() if "failed" in reply.body}
        reasons |= {one["reason"] for one in self.state.refused if one["round"] == self.ask.round}
        return f"{'; '.join(sorted(reasons))}; so " if reasons else ""

    def _sound(self) -> dict[str, Message]:
        return {name: self.replies[name] for name in sorted(self.replies) if "failed" not in self.replies[name].body}

    def _move(self, replies: Replies | None) -> None:
        self.replies: dict[str, Message] = {}
        try:
            self.ask = next(self._phases) if replies is None else self._phases.send(replies)
        except StopIteration as end:
            self.result = end.value
