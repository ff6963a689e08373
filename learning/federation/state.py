"""What a coordinator has after each whole round: enough to go on from.

Shapes: P shared numbers, S units of sensors and outputs, O outputs.
"""

import json
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import safetensors.numpy
from numpy.typing import NDArray

from learning.federation.aggregation import ServerState
from learning.federation.plan import Plan
from learning.federation.sharing import Vector
from learning.federation.watching import Watch

_KEY = "lehr"
_CHANGE, _START = "change/", "start/"
MOST_NOTED = 10_000


def _no_numbers() -> Any:
    return np.zeros(0)


@dataclass
class State:
    """round: the last whole one. members: which sensors each node has. watch: who is hostile.

    counts_O: the rows of each class at all nodes. history: of each round who was asked, answered or was lost, and the
    mean loss. refused: answers that did not count.
    """

    plan: Plan | None = None
    round: int = 0
    members: dict[str, list[bool]] = field(default_factory=dict[str, list[bool]])
    vector_P: Vector = field(default_factory=_no_numbers)
    mean_S: NDArray[np.float64] = field(default_factory=_no_numbers)
    std_S: NDArray[np.float64] = field(default_factory=_no_numbers)
    counts_O: NDArray[np.float64] = field(default_factory=_no_numbers)
    server: ServerState = field(default_factory=lambda: ServerState.fresh(0))
    history: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    refused: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    lost: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    watch: Watch = field(default_factory=Watch)

    def begin(
        self,
        plan: Plan,
        members: dict[str, list[bool]],
        vector_P: Vector,
        mean_S: NDArray[np.float64],
        std_S: NDArray[np.float64],
        counts_O: NDArray[np.float64],
    ) -> None:
        """Everyone has joined."""
        self.plan, self.members, self.vector_P = plan, members, vector_P
        self.mean_S, self.std_S, self.counts_O = mean_S, std_S, counts_O
        self.server = ServerState.fresh(len(vector_P))

    def refuse(self, round_number: int, node: str, reason: str) -> None:
        """Note an answer that does not count; of very many the first ones."""
        if len(self.refused) < MOST_NOTED:
            self.refused.append({"round": round_number, "node": node, "reason": reason})

    def lose(self, round_number: int, node: str, reason: str) -> None:
        """Note a node that was asked and has not answered."""
        self.lost.append({"round": round_number, "node": node, "reason": reason})

    def offenders(self) -> dict[str, str]:
        """Nodes whose answers were refused, or whose updates turn the wrong way, and why."""
        found = dict(self.watch.named)
        for one in self.refused:
            found.setdefault(one["node"], f"round {one['round']}: {one['reason']}")
        return found

    def to_bytes(self) -> bytes:
        """As one safetensors file."""
        arrays = {"vector": self.vector_P, "mean": self.mean_S, "std": self.std_S, "counts": self.counts_O}
        server = self.server
        arrays |= {"first": server.first_P, "second": server.second_P, "control": server.control_P}
        arrays |= {f"{_CHANGE}{node}": change_P for node, change_P in self.watch.changes.items()}
        arrays |= {f"{_START}{number}": start_P for number, start_P in self.watch.starts.items()}
        kept = ("round", "members", "history", "refused", "lost")
        head = {name: getattr(self, name) for name in kept}
        head["watch"] = {name: getattr(self.watch, name) for name in ("rounds", "cosines", "named")}
        head["plan"] = None if self.plan is None else self.plan.to_dict()
        contiguous = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
        return safetensors.numpy.save(contiguous, {_KEY: json.dumps(head, allow_nan=False)})

    @classmethod
    def from_bytes(cls, content: bytes) -> "State":
        """What `to_bytes` wrote."""
        arrays = safetensors.numpy.load(content)
        length = int.from_bytes(content[:8], "little")
        head = json.loads(json.loads(content[8 : 8 + length])["__metadata__"][_KEY])
        plan = head.pop("plan")
        changes = {name.removeprefix(_CHANGE): array for name, array in arrays.items() if name.startswith(_CHANGE)}
        starts = {int(name.removeprefix(_START)): array for name, array in arrays.items() if name.startswith(_START)}
        head["watch"] = Watch(changes, starts=starts, **head["watch"])
        server = ServerState(arrays["first"], arrays["second"], arrays["control"])
        numbers = {"vector_P": arrays["vector"], "mean_S": arrays["mean"], "std_S": arrays["std"]}
        numbers |= {"counts_O": arrays["counts"], "server": server}
        return cls(plan=None if plan is None else Plan.model_validate(plan), **numbers, **head)
