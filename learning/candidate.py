"""`Candidate`: a network that waits for judgement, with all that it takes to go on learning from it."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from pydantic import TypeAdapter
from torch import Tensor

from learning.blend import Evidence, evidence_from_json
from learning.memory import Memory
from learning.metrics import Cost, EpochMetrics
from models.config import ModelConfig
from models.network import Network, build_network, collapse


@dataclass(frozen=True)
class Candidate:
    """A network with all its heads, what it remembers, and how far each head is trusted.

    trained_through: the number of the last batch it learned from; 0 before any.
    cost, history, notes: of the step that made it; notes are what its user should know, and are not kept.
    """

    network: Network
    memory: Memory
    evidence: Evidence
    trained_through: int
    strategy: str
    cost: Cost
    history: tuple[EpochMetrics, ...] = ()
    notes: tuple[str, ...] = ()

    def served(self) -> Network:
        """The one-headed network that goes into production, in evaluation mode."""
        return collapse(self.network, self.evidence.weights()).eval()

    def state_tensors(self) -> dict[str, Tensor]:
        """Weights and normalisers of the whole network, by name."""
        return {name: tensor.contiguous() for name, tensor in self.network.state_dict().items()}

    def state_config(self) -> dict[str, Any]:
        """All the rest but the memory, as plain JSON."""
        network = self.network
        return {
            "model": network.config.model_dump(mode="json"),
            "features": network.features,
            "outputs": network.outputs,
            "task": network.task,
            "heads": network.heads,
            "evidence": json.loads(self.evidence.to_json()),
            "trained_through": self.trained_through,
            "strategy": self.strategy,
            "cost": asdict(self.cost),
            "history": [asdict(record) for record in self.history],
        }

    @classmethod
    def from_state(cls, config: Mapping[str, Any], tensors: Mapping[str, Tensor], memory: Memory) -> "Candidate":
        """The candidate that `state_config` and `state_tensors` describe.

        Raises ValueError where the tensors are not those of the described network.
        """
        model: ModelConfig = TypeAdapter(ModelConfig).validate_python(config["model"])
        network = build_network(model, config["features"], config["outputs"], config["task"], config["heads"])
        try:
            network.load_state_dict(dict(tensors))
        except RuntimeError as error:
            raise ValueError(f"the training state does not fit its own description: {error}") from error
        return cls(
            network,
            memory,
            evidence_from_json(json.dumps(config["evidence"])),
            config["trained_through"],
            config["strategy"],
            Cost(**config["cost"]),
            tuple(EpochMetrics(**record) for record in config["history"]),
        )
