"""A federation's global model as files: for everyone, and for one node to go on from."""

import json
from pathlib import Path

import safetensors.torch

from data.config import DataConfig
from data.windows import make_samples
from deployments.export import check_parity, export
from deployments.pipeline import PipelineConfig
from deployments.training import StoredData, pack_candidate
from learning.federation.node import Node
from learning.federation.plan import Plan
from learning.federation.privacy import Spent
from learning.federation.results import FederatedModel
from learning.federation.sharing import with_sensors
from learning.learn import first_candidate
from learning.metrics import Cost, Training
from learning.randomness import seeded
from models.network import Network

MOST_DIFFERENCE = 1e-4
_KEY = "lehr"


def onnx_of(model: FederatedModel) -> bytes:
    """The exported global network with its weights as training state; no rows.

    Raises ValueError where units or head are personal, so that there is no network that serves everyone, and where the
    file differs from the network.
    """
    plan = model.plan
    if plan.federation.units.kind == "personal" or plan.federation.personal:
        raise ValueError("what is personal stays with its node, so no one file serves all: save the model of each node")
    return exported(model.network, plan.length, {"federation": model.to_dict()}, plan.federation.seed)


def exported(network: Network, length: int, said: dict[str, object], seed: int) -> bytes:
    """The ONNX file of a network with one head; raises ValueError where it differs from the network."""
    onnx = export(network, network.features, length, dict(network.state_dict()), said)
    difference = check_parity(network, onnx, network.features, length, seed)
    if not difference <= MOST_DIFFERENCE:
        raise ValueError(f"the exported file differs from the network by {difference:.3g}")
    return onnx


def save_model(model: FederatedModel) -> bytes:
    """Weights and plan, for a later federation to go on from; it may lack what is personal."""
    tensors = {name: tensor.contiguous() for name, tensor in model.network.state_dict().items()}
    return safetensors.torch.save(tensors, {_KEY: json.dumps(model.to_dict(), allow_nan=False)})


def load_model(path: Path) -> FederatedModel | None:
    """What `save_model` wrote; None where there is no file."""
    if not path.exists():
        return None
    content = path.read_bytes()
    length = int.from_bytes(content[:8], "little")
    said = json.loads(json.loads(content[8 : 8 + length])["__metadata__"][_KEY])
    plan = Plan.model_validate(said["plan"])
    network = plan.fresh_network()
    network.load_state_dict(safetensors.torch.load(content))
    spent = tuple(Spent(**one) for one in said["privacy"])
    rounds, refused, lost = (tuple(said[name]) for name in ("rounds", "refused", "lost"))
    return FederatedModel(plan, network.eval(), rounds, refused, lost, spent, said["offenders"])


def packed_for(node: Node, model: FederatedModel, data: DataConfig | None, name: str = "federated") -> bytes:
    """The node's own model with its own reference, memory and held-out rows, for the loop to go on from.

    It reads the node's sensors, and with personal units or a personal head it has the node's. Raises ValueError where
    the node's rows did not come as a table: then there is no pipeline that could go on.
    """
    own, plan, table = node.data, model.plan, node.data.table
    if table is None or own.schema is None or data is None:
        raise ValueError(f"{node.name} learned from arrays; to go on from its model its rows must come as a table")
    config = PipelineConfig(
        name=name,
        task=plan.task,
        data=data.model_copy(update={"key": None}),
        model=plan.model,
        training=plan.training,
    )
    classes, length = plan.labels, plan.length
    learned, held_out = (table.filter(table["lehr_split"] == split) for split in ("train", "holdout"))
    train = make_samples(learned, own.schema, length, classes)
    holdout = make_samples(held_out, own.schema, length, classes, keep_unknown=True)
    stored = StoredData(config, own.schema, table, classes, train, holdout)
    network = with_sensors(node.network, [plan.sensors.index(sensor) for sensor in own.sensors])
    with seeded(plan.federation.seed, 0):
        candidate = first_candidate(stored.plan, train, network, Training((), Cost(0, 0.0)))
    return pack_candidate(stored, candidate)
