"""What leaves a node: every byte of it is looked at."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from learning.federated import FederatedLearningCoordinator
from learning.federation.messages import decode
from learning.federation.node import Node
from learning.federation.run import Ask, ask_in_turn
from tests.learning.federation.plants import MODEL, TRAINING, plants

FEDERATIONS: dict[str, dict[str, Any]] = {
    "plain": {},
    "secure": {"secure": True},
    "adjusted": {"logit_adjustment": True},
    "personal": {"units": {"kind": "personal"}, "personal": ["head"]},
    "node": {"units": {"kind": "given"}, "privacy": {"level": "node", "noise": 0.5}},
    "record": {"units": {"kind": "given"}, "privacy": {"level": "record", "noise": 2.0}},
}


@pytest.mark.parametrize("kind", FEDERATIONS)
def test_no_row_leaves_a_node(kind: str) -> None:
    """Planted readings are in no message, binary of any width or as text, and messages do not grow with rows."""
    sizes: list[int] = []
    for rows in (40, 400):
        sources = plants(3, rows)
        for number, (readings, _) in enumerate(sources):
            readings[7] = np.array([1234.5678, -8765.4321, 3.1415927, 0.271828]) + number
        sent = federate(sources, FEDERATIONS[kind])
        for name, contents in sent.items():
            readings = sources[int(name[-1]) - 1][0]
            for needle in needles(readings):
                assert not any(needle in content for content in contents), f"{name} sent a row"
        sizes.append(max(len(content) for contents in sent.values() for content in contents))
    weights = 4 * (4 * 16 + 16 + 16 * 3 + 3)
    assert max(sizes) < (3 if kind == "secure" else 1) * weights + 4000
    assert abs(sizes[1] - sizes[0]) < 200


def test_with_node_level_privacy_only_the_noisy_update_is_told() -> None:
    sent = federate(plants(3, 40), FEDERATIONS["node"])
    told = [decode(content) for content in sent["node-1"]]
    assert [(m.kind, dict(m.body), list(m.arrays)) for m in told if m.kind not in ("join",)] == [
        ("plan", {}, []),
        ("train", {"rows": 1.0}, ["change"]),
        ("train", {"rows": 1.0}, ["change"]),
        ("done", {}, []),
    ]


def test_in_a_secure_federation_only_masked_numbers_are_told() -> None:
    sent = federate(plants(3, 40), FEDERATIONS["secure"])
    for message in map(decode, sent["node-2"]):
        told = {"sensors", "labels", "task", "length", "outputs", "public", "sealed", "covered", "revealed"}
        assert set(message.body) <= told
        assert set(message.arrays) <= {"masked"}


def federate(sources: Any, federation: dict[str, Any]) -> dict[str, list[bytes]]:
    """All that the nodes send in two rounds."""
    sent: dict[str, list[bytes]] = {}

    def listening(nodes: Mapping[str, Node]) -> Ask:
        def ask(kind: str, number: int, questions: Mapping[str, bytes]) -> Mapping[str, bytes | BaseException]:
            answers = ask_in_turn(nodes)(kind, number, questions)
            for name, answer in answers.items():
                assert isinstance(answer, bytes)
                sent.setdefault(name, []).append(answer)
            return answers

        return ask

    coordinator = FederatedLearningCoordinator(model=MODEL, training=TRAINING, federation=federation)
    coordinator.coordinate_training(sources, rounds=2, ask=listening)
    return sent


def needles(readings: np.ndarray) -> list[bytes]:
    """Single readings and whole rows, as they could be written."""
    found = [readings[7].astype(kind).tobytes() for kind in (np.float16, np.float32, np.float64)]
    for reading in readings[7]:
        found += [np.array(reading).astype(kind).tobytes() for kind in (np.float32, np.float64)]
        found += [f"{reading:.4f}".encode(), repr(float(reading)).encode()[:9]]
    return found
