"""A node's part in one round, as a task."""

from collections.abc import Mapping

from prefect import task
from prefect.cache_policies import NO_CACHE

from learning.federation.node import Node
from learning.federation.run import Answers, Ask, answer_of


@task(name="train node", task_run_name="train {name}, round {number}", cache_policy=NO_CACHE)
def train_node(nodes: Mapping[str, Node], name: str, number: int, question: bytes) -> bytes:
    """Let a node learn in one round; one that cannot answer fails, and the round goes on without it."""
    return nodes[name].answer(question)


def ask_by_tasks(nodes: Mapping[str, Node]) -> Ask:
    """Each node's training of a round is a task of its own; the few words besides are not."""

    def ask(kind: str, number: int, questions: Mapping[str, bytes]) -> Answers:
        if kind != "train":
            return {name: answer_of(nodes[name], question) for name, question in questions.items()}
        states = {name: train_node(nodes, name, number, q, return_state=True) for name, q in questions.items()}
        return {name: state.result(raise_on_failure=False) for name, state in states.items()}

    return ask
