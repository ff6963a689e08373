"""A node's journal: what it needs to go on, whenever it was stopped. It holds secrets, and stays with the node."""

import json
from typing import Any

import numpy as np
import safetensors.numpy
import torch

from learning.federation.masking import NodeMask
from learning.federation.node import Node
from learning.federation.plan import Plan
from learning.federation.sources import NodeData

_KEY = "lehr"
_NETWORK, _ANSWER, _CONTROL = "network/", "answer/", "control"


def save_node(node: Node) -> bytes:
    """All that the node knows but its rows."""
    arrays: dict[str, Any] = {f"{_ANSWER}{key}": np.frombuffer(a, np.uint8) for key, (_, a) in node.answered.items()}
    if node.joined:
        arrays |= {_NETWORK + name: tensor.numpy() for name, tensor in node.network.state_dict().items()}
    if node.control_P is not None:
        arrays[_CONTROL] = node.control_P
    head = {
        "plan": node.plan.to_dict() if node.joined else None,
        "mask": None if node.mask is None else node.mask.to_dict(),
        "private_steps": node.private_steps,
        "asked": {key: digest for key, (digest, _) in node.answered.items()},
        "finished": node.finished,
    }
    contiguous = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    return safetensors.numpy.save(contiguous, {_KEY: json.dumps(head)})


def load_node(name: str, data: NodeData, content: bytes) -> Node:
    """The node that `save_node` wrote; raises ValueError where it learned from other sensors or classes."""
    arrays = safetensors.numpy.load(content)
    length = int.from_bytes(content[:8], "little")
    head = json.loads(json.loads(content[8 : 8 + length])["__metadata__"][_KEY])
    node = Node(name, data)
    if head["plan"] is not None:
        node.take_plan(Plan.model_validate(head["plan"]))
        tensors = {n.removeprefix(_NETWORK): torch.from_numpy(a) for n, a in arrays.items() if n.startswith(_NETWORK)}
        node.network.load_state_dict(tensors)
    node.mask = None if head["mask"] is None else NodeMask(**head["mask"])
    node.control_P = arrays.get(_CONTROL)
    node.private_steps = [(noise, rate, steps) for noise, rate, steps in head["private_steps"]]
    node.answered = {key: (digest, arrays[f"{_ANSWER}{key}"].tobytes()) for key, digest in head["asked"].items()}
    node.finished = head["finished"]
    return node
