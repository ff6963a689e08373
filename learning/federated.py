"""`FederatedLearningCoordinator`: lines that learn together while their rows stay where they are.

    global_model = FederatedLearningCoordinator().coordinate_training(
        node_data_sources=node_data_list, rounds=10, aggregation_method="fedavg"
    )

The call of the earlier training module; the parts lie in `learning.federation`.
"""

import secrets
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from data.config import DataConfig, Task
from data.documents import Checked, check_document
from data.files import write_whole
from deployments.federation_files import onnx_of, packed_for
from learning.config import TrainingConfig
from learning.federation.config import AggregationConfig, FederationConfig
from learning.federation.coordinator import Coordinator
from learning.federation.node import Node
from learning.federation.results import FederatedModel
from learning.federation.run import Ask, Participant, ask_in_turn, run_federation
from learning.federation.sources import named_sources, node_data
from learning.optimisers import Sgd
from models.config import ModelConfig

METHODS = ("fedavg", "fedprox", "fedadam", "fedyogi", "scaffold", "median", "trimmed_mean", "krum")
_AGGREGATION: TypeAdapter[AggregationConfig] = TypeAdapter(AggregationConfig)
SCAFFOLD_TRAINING = TrainingConfig(optimiser=Sgd(momentum=0.0), learning_rate=0.3)


class FederatedLearningCoordinator:
    """Federations in this process.

    model: None: an MLP for rows, an LSTM for windows. training: how nodes learn (its epochs are `local_epochs`).
    federation: all that `learning.federation.config.FederationConfig` knows, such as privacy and secure aggregation.
    data: what the columns of tables are, as under `data` in a pipeline file; task: where the target does not tell.
    """

    def __init__(
        self,
        *,
        model: ModelConfig | None = None,
        training: TrainingConfig | None = None,
        federation: FederationConfig | Mapping[str, Any] | None = None,
        data: DataConfig | Mapping[str, Any] | None = None,
        task: Task | None = None,
    ) -> None:
        self._model, self._training = model, training
        self._federation = _checked(FederationConfig, federation or {}, "federation")
        self._data = None if data is None else _checked(DataConfig, data, "data")
        self._task: Task | None = task
        self.nodes: dict[str, Node] = {}

    def coordinate_training(
        self,
        node_data_sources: Mapping[str, Any] | Sequence[Any],
        rounds: int = 10,
        aggregation_method: str | Mapping[str, Any] | AggregationConfig = "fedavg",
        start: FederatedModel | None = None,
        ask: Callable[[Mapping[str, Participant]], Ask] = ask_in_turn,
    ) -> FederatedModel:
        """Train one global model on the rows of all nodes, which see each other's updates only through their sum.

        node_data_sources: for each node `Samples`, a pair of arrays, a data frame, or the path of a file or a folder;
        by name, or in a list. aggregation_method: one of `METHODS`, or its configuration. start: a model to go on from.
        ask: what brings questions to the nodes. Raises ValueError for mistakes in any of it, and QuorumError (a
        ValueError) where too few nodes answer.
        """
        federation = self._federation.model_copy(update={"rounds": rounds, "aggregation": _method(aggregation_method)})
        federation = _checked(FederationConfig, federation.model_dump(), "federation")
        sources = named_sources(node_data_sources)
        self.nodes = {name: Node(name, self._read(name, source)) for name, source in sources.items()}
        training = self._training
        if training is None:
            training = SCAFFOLD_TRAINING if federation.aggregation.method == "scaffold" else TrainingConfig()
        model, secret = self._model if start is None else start.plan.model, secrets.token_bytes(32)
        coordinator = Coordinator("in process", list(self.nodes), model, training, federation, secret, start)
        return run_federation(coordinator, ask(self.nodes))

    def save(self, model: FederatedModel, path: Path | str) -> None:
        """Write the global model as an ONNX file with its training state; it holds no rows."""
        write_whole(Path(path), onnx_of(model))

    def save_for(self, node: str, model: FederatedModel, path: Path | str) -> None:
        """Write the model of one node as the file that `ContinuousLearningSystem` goes on from.

        It holds the node's own reference, memory and held-out rows, and is meant to stay with it. Raises ValueError for
        a node that is none, or whose rows did not come as a table.
        """
        if node not in self.nodes:
            raise ValueError(f"there is no node {node!r}; there are {', '.join(self.nodes) or 'none'}")
        assert self._data is not None or self.nodes[node].data.table is None
        write_whole(Path(path), packed_for(self.nodes[node], model, self._data))

    def _read(self, name: str, source: Any) -> Any:
        try:
            return node_data(source, self._data, self._task)
        except ValueError as mistake:
            raise ValueError(f"node_data_sources: {name}: {mistake}") from None


def _checked(model: type[Checked], given: Checked | Mapping[str, Any], name: str) -> Checked:
    if isinstance(given, model):
        return given
    if not isinstance(given, Mapping):
        raise ValueError(f"{name}: a {model.__name__} or a mapping, not {given!r}")
    return check_document(model, given, name, "configuration")


def _method(method: str | Mapping[str, Any] | AggregationConfig) -> AggregationConfig:
    document = {"method": method} if isinstance(method, str) else method
    try:
        return _AGGREGATION.validate_python(document)
    except ValidationError as error:
        raise ValueError(
            f"aggregation_method: {method!r}: {error.errors()[0]['msg']}; allowed are {', '.join(METHODS)}"
        ) from None
