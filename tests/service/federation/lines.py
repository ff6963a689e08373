"""A federation of three lines, and what it comes to when nothing disturbs it."""

from pathlib import Path
from typing import Any

from learning.federated import FederatedLearningCoordinator
from learning.federation.results import FederatedModel
from tests.learning.federation.plants import MODEL, TRAINING

NODES = ("east", "north", "south")
DATA = {"target": "label", "order": "none"}
PATH = "/api/v1/federations/lines"


def job(**federation: Any) -> dict[str, Any]:
    parts = {"model": MODEL.model_dump(mode="json"), "training": TRAINING.model_dump(mode="json")}
    return {"name": "lines", "nodes": list(NODES), **parts, "federation": {"rounds": 3, **federation}}


def undisturbed(tables: dict[str, Path], rounds: int = 3, **federation: Any) -> FederatedModel:
    coordinator = FederatedLearningCoordinator(
        model=MODEL, training=TRAINING, federation=federation, data=DATA, task="classification"
    )
    return coordinator.coordinate_training({n: f.parent / "rows.csv" for n, f in tables.items()}, rounds)


def weights(model: FederatedModel | None) -> bytes:
    assert model is not None
    return b"".join(tensor.numpy().tobytes() for tensor in model.network.state_dict().values())
