"""A federation's file, and running it: what was learned lies under LEHR_HOME/federations/<name>."""

import json
import secrets
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import Field

from data.config import Config, DataConfig, Task
from data.documents import load_document
from data.files import alone_in, folder_name, write_whole
from data.sources import iter_arrivals
from deployments.federated_drift import NO_REFERENCE, Learners, Watcher, decide
from deployments.federation_files import load_model, onnx_of, packed_for, save_model
from deployments.settings import Settings
from learning.config import TrainingConfig
from learning.federation.config import FederationConfig
from learning.federation.coordinator import Coordinator
from learning.federation.node import Node
from learning.federation.questions import LEAST_HIDDEN
from learning.federation.results import FederatedModel
from learning.federation.run import Ask, run_federation
from learning.federation.sources import NodeData, node_data
from models.config import ModelConfig

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
_MODEL, _LEARNED = "model.bin", "learned"
"""A group's weights; and where those lie that a node learned last, seen from the federation's folder."""
Asker = Callable[[Mapping[str, Node]], Ask]


class NodeEntry(Config):
    """source: a file or a folder, as seen from the federation's file; null: the node is a process elsewhere."""

    source: str | None = None
    data: DataConfig | None = Field(default=None, description="where its columns are named otherwise")


class FederationFile(Config):
    """All of a federation: who takes part, what their columns are, and how they learn."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$")]
    task: Task | None = None
    data: DataConfig
    model: ModelConfig | None = None
    training: TrainingConfig = TrainingConfig()
    federation: FederationConfig = FederationConfig()
    nodes: dict[Name, NodeEntry] = Field(min_length=1)

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read a federation's file; raises ValueError that names every mistake with its key's path."""
        return load_document(cls, path, "federation file")

    def check_sources(self, folder: Path) -> None:
        """Raise ValueError that names the node for the first source that is not there."""
        for name in self.nodes:
            source = self._source(name, folder)
            with _of_node(name):
                iter_arrivals([source])

    def read(self, name: str, folder: Path) -> NodeData:
        """What a node holds; raises ValueError that names the node where that cannot be read."""
        source = self._source(name, folder)
        with _of_node(name):
            return node_data(source, self.nodes[name].data or self.data, self.task)

    def _source(self, name: str, folder: Path) -> Path:
        source = self.nodes[name].source
        if source is None:
            raise ValueError(f"nodes.{name}.source: is missing; a node without one runs elsewhere: lehr node")
        return folder / source


@contextmanager
def _of_node(name: str) -> Generator[None]:
    try:
        yield
    except ValueError as mistake:
        raise ValueError(f"nodes.{name}: {mistake}") from None


def folder_of(settings: Settings, name: str) -> Path:
    """Where a federation's models and reports lie."""
    return settings.home / "federations" / name


def federate(path: Path, settings: Settings, ask: Asker) -> dict[str, Any]:
    """Let the nodes learn together, all of them the first time, and later those whose process has moved.

    Leaves for each group that learned `model.onnx` and `report.json`, and for each node the file that
    `ContinuousLearningSystem` goes on from. Returns plain JSON. Raises ValueError for mistakes in the file or the data,
    where another process is at work on this federation, and where too few nodes answer.
    """
    file = FederationFile.load(path)
    what = f"the federation {file.name}"
    with alone_in(folder_of(settings, file.name), settings.wait_seconds, what) as folder:
        return _federate(file, path.parent, folder, ask)


def _federate(file: FederationFile, sources: Path, folder: Path, ask: Asker) -> dict[str, Any]:
    nodes = {name: Node(name, file.read(name, sources)) for name in file.nodes}
    learners = _learners(file, folder, nodes, (folder / _MODEL).exists())
    groups: list[dict[str, Any]] = []
    for group in learners.groups:
        own = {name: nodes[name] for name in group}
        place = folder if len(group) == len(nodes) else folder / "groups" / folder_name("+".join(group))
        model = learn_together(file, own, _start_of(folder, place, group), ask)
        groups.append(_keep(file, place, folder, own, model))
    report = {"federation": file.name, "action": learners.action, "reason": learners.reason, "groups": groups}
    write_whole(folder / "latest.json", json.dumps(report, indent=2, allow_nan=False).encode() + b"\n")
    return report


def learn_together(
    file: FederationFile, nodes: Mapping[str, Node], start: FederatedModel | None, ask: Asker
) -> FederatedModel:
    """One model of these nodes, from fresh weights or from where an earlier one was."""
    model, secret = file.model if start is None else start.plan.model, secrets.token_bytes(32)
    coordinator = Coordinator(file.name, list(nodes), model, file.training, file.federation, secret, start)
    return run_federation(coordinator, ask(nodes))


def _start_of(folder: Path, place: Path, group: Sequence[str]) -> FederatedModel | None:
    """Where a group goes on from: what its nodes learned last, where that is one model, else what all learned last."""
    notes = [folder / "nodes" / name / _LEARNED for name in group]
    learned = {folder / note.read_text() if note.exists() else folder for note in notes}
    one = len(learned) == 1 and place != folder
    return load_model((learned.pop() if one else folder) / _MODEL)


def _learners(file: FederationFile, folder: Path, nodes: Mapping[str, Node], learned: bool) -> Learners:
    if not learned:
        return Learners("all", (tuple(sorted(nodes)),), "nothing was learned together yet")
    watched = [Watcher(name, folder / "nodes" / name).watch(nodes[name].data) for name in sorted(nodes)]
    if any(summary.note == NO_REFERENCE for summary in watched):
        new = ", ".join(summary.node for summary in watched if summary.note == NO_REFERENCE)
        return Learners("all", (tuple(sorted(nodes)),), f"new in the federation: {new}")
    return decide(watched, LEAST_HIDDEN if file.federation.secure else 1)


def _keep(
    file: FederationFile, place: Path, folder: Path, nodes: Mapping[str, Node], model: FederatedModel
) -> dict[str, Any]:
    """The model for everyone, and each node's own with its reference."""
    write_whole(place / _MODEL, save_model(model))
    if _serves_all(model):
        write_whole(place / "model.onnx", onnx_of(model))
    report = {"nodes": sorted(nodes), "folder": str(place), **model.to_dict()}
    write_whole(place / "report.json", json.dumps(report, indent=2, allow_nan=False).encode() + b"\n")
    for name, node in nodes.items():
        packed = packed_for(node, model, file.nodes[name].data or file.data, file.name)
        write_whole(folder / "nodes" / name / "model.onnx", packed)
        write_whole(folder / "nodes" / name / _LEARNED, str(place.relative_to(folder)).encode())
        Watcher(name, folder / "nodes" / name).keep(node.data)
    return report


def _serves_all(model: FederatedModel) -> bool:
    federation = model.plan.federation
    return federation.units.kind != "personal" and not federation.personal


def summary_lines(report: Mapping[str, Any]) -> Sequence[str]:
    """What people are told."""
    lines = [f"{report['federation']}: {report['action']}, {report['reason']}"]
    for group in report["groups"]:
        lines.append(f"{', '.join(group['nodes'])}: {len(group['rounds'])} rounds, in {group['folder']}")
        lines += [
            f"  {spent['node'] or 'all'}: ε = {spent['epsilon']:.3g} at δ = {spent['delta']:g}, by {spent['level']}"
            for spent in group["privacy"]
        ]
        lines += [f"  suspect: {node}: {why}" for node, why in group["offenders"].items()]
    return lines
