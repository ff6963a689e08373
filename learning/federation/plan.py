"""What all nodes of a federation know once they have joined."""

from collections.abc import Sequence
from typing import Any

from pydantic import TypeAdapter

from data.config import Config, Task
from learning.config import TrainingConfig
from learning.federation.config import FederationConfig
from learning.randomness import seeded
from models.config import ModelConfig
from models.network import Network, build_network

_MODEL: TypeAdapter[ModelConfig] = TypeAdapter(ModelConfig)


class Plan(Config):
    """sensors: of all nodes, in order. labels: the classes by number; None for values. length: of a window."""

    task: Task
    sensors: list[str]
    labels: list[str] | None
    outputs: int
    length: int
    model: ModelConfig
    training: TrainingConfig
    federation: FederationConfig

    def fresh_network(self) -> Network:
        """A network with the weights that all begin with."""
        with seeded(self.federation.seed, 0):
            return build_network(self.model, len(self.sensors), self.outputs, self.task)

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        return self.model_dump(mode="json")


def make_plan(
    said: Sequence[dict[str, Any]],
    model: ModelConfig,
    training: TrainingConfig,
    federation: FederationConfig,
    known: Plan | None = None,
) -> Plan:
    """The plan that what all nodes said of themselves makes; raises ValueError where they do not fit together.

    known: of the model that they go on from, whose sensors and classes stay, though these nodes may lack some.
    """
    for key in ("task", "length", "outputs"):
        if len(values := {str(one[key]) for one in said}) > 1:
            raise ValueError(f"the nodes differ in their {key}: {', '.join(sorted(values))}")
    first = said[0]
    before: list[str] = known.sensors if known else []
    sensors: list[str] = list(dict.fromkeys([*before, *(sensor for one in said for sensor in one["sensors"])]))
    labels = None
    if federation.logit_adjustment and first["task"] != "classification":
        raise ValueError("federation.logit_adjustment: it is for classes, and the nodes have values")
    if first["task"] == "classification":
        found: set[str] = {label for one in said for label in one["labels"]}
        labels = sorted(found.union((known and known.labels) or ()), key=_in_order)
        if len(labels) < 2:
            raise ValueError(f"all nodes together have one class only: {', '.join(labels)}")
    outputs = first["outputs"] if labels is None else len(labels)
    return Plan(
        task=first["task"],
        sensors=sensors,
        labels=labels,
        outputs=outputs,
        length=first["length"],
        model=model,
        training=training,
        federation=federation,
    )


def _in_order(label: str) -> tuple[bool, float, str]:
    """Numbers in their order before texts in theirs."""
    try:
        return False, float(label), label
    except ValueError:
        return True, 0.0, label
