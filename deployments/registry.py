"""MLflow: runs, model versions, and the alias `champion`, which follows the ledger and decides nothing."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from filelock import FileLock

from data.files import sync_folder
from data.ledger import Ledger
from deployments.scoring import OnnxModel

ALIAS = "champion"
VERSION_TAG = "lehr_version"
REQUIREMENTS = ["onnxruntime>=1.31,<1.32", "numpy>=2.4,<2.5"]


@dataclass(frozen=True)
class Registry:
    """A pipeline's experiment and registered model `lehr-<pipeline>` in MLflow, opened when first needed."""

    tracking_uri: str
    pipeline: str
    pages: str | None = None

    def run_address(self, run_id: str) -> str:
        """Where a run is shown on MLflow's pages; there have to be some."""
        return f"{self.pages}/#/experiments/{self._experiment}/runs/{run_id}"

    @property
    def model_name(self) -> str:
        """The registered model's name."""
        return f"lehr-{self.pipeline}"

    def log_candidate(
        self, name: str, params: Mapping[str, Any], metrics: Mapping[str, float], tags: Mapping[str, str]
    ) -> str:
        """Log a candidate as a finished run; the same name again is the same run. Returns the run's id."""
        from mlflow.entities import Metric, Param, RunTag

        info = (self._run(name) or self._client.create_run(self._experiment, run_name=name)).info
        logged = [Metric(key, value, info.start_time, 0) for key, value in metrics.items()]
        parameters = [Param(key, str(value)[:500]) for key, value in params.items()]
        labels = [RunTag(key, value) for key, value in tags.items()]
        self._client.log_batch(info.run_id, logged, parameters, labels)
        self._client.set_terminated(info.run_id)
        return info.run_id

    def attach(self, name: str, file: Path) -> str:
        """Keep a file, which replaces one of its name, with a run that was logged before. Returns the run's id."""
        run_id = self._run(name).info.run_id
        self._client.log_artifact(run_id, str(file))
        return run_id

    def register(self, version: int, onnx: bytes, run_id: str) -> None:
        """Register an exported network, with its signature, as a model version; a second time changes nothing."""
        if self._registered(version) is not None:
            return
        import mlflow
        import mlflow.onnx
        import onnx as onnx_library

        model = onnx_library.load_from_string(onnx)
        mlflow.set_tracking_uri(self.tracking_uri)
        with mlflow.start_run(run_id=run_id):
            logged = mlflow.onnx.log_model(
                model,
                name="model",
                signature=_signature(model),
                pip_requirements=REQUIREMENTS,
                onnx_execution_providers=["CPUExecutionProvider"],
                save_as_external_data=False,
            )
        tags = {VERSION_TAG: str(version)}
        self._ensure_model()
        self._client.create_model_version(
            self.model_name, logged.model_uri, run_id, tags=tags, model_id=logged.model_id
        )

    def project_champion(self, version: int) -> None:
        """Let the alias follow: point it at the version that the ledger says is in production."""
        registered = self._registered(version)
        if registered is None:
            raise ValueError(f"version {version} of {self.pipeline} is not registered in MLflow")
        self._client.set_registered_model_alias(self.model_name, ALIAS, registered)

    def reconcile(self, ledger: Ledger) -> None:
        """Heal what a run that died between ledger and registry left: the alias follows the ledger again."""
        champion = ledger.champion(self.pipeline)
        registered = None if champion is None else self._registered(champion.version)
        if registered is not None and registered != self._aliased():
            self._client.set_registered_model_alias(self.model_name, ALIAS, registered)

    def champion(self) -> int | None:
        """The version that the alias points at: for people and checks, never to decide."""
        number = self._aliased()
        if number is None:
            return None
        return int(self._client.get_model_version(self.model_name, number).tags[VERSION_TAG])

    def load_champion(self) -> OnnxModel:
        """The model that the alias leads to, from where MLflow keeps it."""
        return OnnxModel(self.champion_file())

    def champion_file(self) -> Path:
        """The file that the alias leads to, brought from where MLflow keeps it."""
        import mlflow

        mlflow.set_tracking_uri(self.tracking_uri)
        uri = f"models:/{self.model_name}@{ALIAS}"
        folder = Path(mlflow.artifacts.download_artifacts(artifact_uri=uri, tracking_uri=self.tracking_uri))
        return folder / "model.onnx"

    def _run(self, name: str) -> Any:
        found = self._client.search_runs([self._experiment], f"attributes.run_name = '{name}'", max_results=1)
        return found[0] if found else None

    def _registered(self, version: int) -> str | None:
        """MLflow's own number of a version, which differs from lehr's: refused candidates are not registered."""
        query = f"name='{self.model_name}' and tags.{VERSION_TAG}='{version}'"
        found = self._client.search_model_versions(query)
        return str(found[0].version) if found else None

    def _aliased(self) -> str | None:
        """MLflow's own number of the version that the alias points at."""
        models = self._client.search_registered_models(f"name='{self.model_name}'")
        return str(models[0].aliases[ALIAS]) if models and ALIAS in models[0].aliases else None

    def _ensure_model(self) -> None:
        if not self._client.search_registered_models(f"name='{self.model_name}'"):
            self._client.create_registered_model(self.model_name)

    @cached_property
    def _experiment(self) -> str:
        found = self._client.get_experiment_by_name(self.model_name)
        if found is not None:
            return found.experiment_id
        path = _sqlite_path(self.tracking_uri)
        artifacts = None if path is None else (path.parent / "artifacts").as_uri()
        return self._client.create_experiment(self.model_name, artifact_location=artifacts)

    @cached_property
    def _client(self) -> Any:
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
        from mlflow import MlflowClient

        create_store(self.tracking_uri)
        return MlflowClient(self.tracking_uri, self.tracking_uri)


def create_store(tracking_uri: str) -> None:
    """Make MLflow's SQLite database where there is none: under another name, so that a kill leaves no half of it.

    Its migrations take seconds, and break where two processes run them at once or one is killed in between.
    """
    from mlflow import MlflowClient

    path = _sqlite_path(tracking_uri)
    if path is None:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{path}.lock"):
        if path.exists():
            return
        unfinished = path.with_name(f"{path.name}.part")
        for left in path.parent.glob(f"{unfinished.name}*"):
            left.unlink()
        MlflowClient(f"sqlite:///{unfinished}", f"sqlite:///{unfinished}")
        unfinished.rename(path)
        sync_folder(path.parent)


def _sqlite_path(uri: str) -> Path | None:
    return Path(uri.removeprefix("sqlite:///")) if uri.startswith("sqlite:///") else None


def _signature(model: Any) -> Any:
    """The exported network's inputs and outputs, with free sizes as −1."""
    import numpy as np
    import onnx as onnx_library
    from mlflow.models import ModelSignature
    from mlflow.types import Schema, TensorSpec

    def spec(value: Any) -> Any:
        sizes = tuple(size.dim_value or -1 for size in value.type.tensor_type.shape.dim)
        kind = onnx_library.helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type)
        return TensorSpec(np.dtype(kind), sizes, value.name)

    graph = model.graph
    return ModelSignature(Schema([spec(v) for v in graph.input]), Schema([spec(v) for v in graph.output]))
