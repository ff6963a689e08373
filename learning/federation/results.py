"""What a federation leaves: one network, and what is known about how it came to be.

Shapes: B samples, L window length, C sensors, K classes.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from data.samples import Samples
from learning.federation.plan import Plan
from learning.federation.privacy import Spent
from models.network import Network


@dataclass(frozen=True)
class FederatedModel:
    """The global model, in evaluation mode.

    With personal units or a personal head it serves inside its nodes only (`learning.federation.node.Node.network`).
    rounds: who was asked, who answered, and the mean loss of each. refused: answers that did not count, and why.
    privacy: what is guaranteed. offenders: nodes whose answers were refused, or that are hostile, and why.
    """

    plan: Plan
    network: Network
    rounds: tuple[Mapping[str, Any], ...]
    refused: tuple[Mapping[str, Any], ...]
    lost: tuple[Mapping[str, Any], ...]
    privacy: tuple[Spent, ...]
    offenders: Mapping[str, str]

    @property
    def sensors(self) -> list[str]:
        """The columns that it reads, in order."""
        return self.plan.sensors

    @property
    def classes(self) -> list[str] | None:
        """The labels by class number; None for values."""
        return self.plan.labels

    def predict(self, inputs: NDArray[Any] | Samples) -> NDArray[np.float32]:
        """Class probabilities (B, K), or values (B,), of readings (B, C) or (B, L, C); NaN is a missing reading.

        Raises ValueError for readings of another shape.
        """
        readings = inputs.inputs() if isinstance(inputs, Samples) else torch.from_numpy(np.asarray(inputs, np.float32))
        if readings.ndim not in (2, 3) or readings.shape[-1] != len(self.sensors):
            shape, names = tuple(readings.shape), ", ".join(self.sensors)
            raise ValueError(f"readings {shape} are not (B, C) or (B, L, C) of the {len(self.sensors)} sensors {names}")
        with torch.no_grad():
            return self.network(readings).numpy()

    def to_dict(self) -> dict[str, Any]:
        """All but the weights, as plain JSON."""
        return {
            "plan": self.plan.to_dict(),
            "rounds": [dict(one) for one in self.rounds],
            "refused": [dict(one) for one in self.refused],
            "lost": [dict(one) for one in self.lost],
            "privacy": [spent.to_dict() for spent in self.privacy],
            "offenders": dict(self.offenders),
        }
