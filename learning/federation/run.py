"""A federation in one process: what is asked goes to the nodes, their answers come back, as bytes as over a network."""

from collections.abc import Callable, Mapping
from typing import Protocol

from learning.federation.coordinator import Coordinator
from learning.federation.messages import RefusedError
from learning.federation.results import FederatedModel


class Participant(Protocol):
    """What answers: a node, or for tests one that is up to no good."""

    def answer(self, content: bytes) -> bytes: ...


Answers = Mapping[str, bytes | BaseException]
Ask = Callable[[str, int, Mapping[str, bytes]], Answers]
"""The kind of question, the round, and what each node is asked; to each node's answer, or why there is none."""


def run_federation(coordinator: Coordinator, ask: Ask) -> FederatedModel:
    """Drive a coordinator to its end; raises QuorumError where too few nodes answer."""
    while not coordinator.finished:
        phase = coordinator.ask
        questions = {name: message.encode() for name, message in phase.messages.items()}
        for name, answer in ask(phase.kind, phase.round, questions).items():
            if isinstance(answer, bytes):
                _hand_in(coordinator, name, answer)
        coordinator.advance()
    assert coordinator.result is not None
    return coordinator.result


def ask_in_turn(nodes: Mapping[str, Participant]) -> Ask:
    """Nodes in this process, one after another; one that fails is a lost one."""

    def ask(kind: str, round_number: int, questions: Mapping[str, bytes]) -> Answers:
        return {name: answer_of(nodes[name], question) for name, question in questions.items()}

    return ask


def answer_of(node: Participant, question: bytes) -> bytes | BaseException:
    """A node's answer, or what it raised."""
    try:
        return node.answer(question)
    except (ValueError, FloatingPointError, OSError, TimeoutError) as error:
        return error


def _hand_in(coordinator: Coordinator, name: str, answer: bytes) -> None:
    try:
        coordinator.receive(name, answer)
    except RefusedError:
        return  # noted in the coordinator's state, and in the result
