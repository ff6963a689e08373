import shutil
import signal
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from data.ledger import Ledger
from deployments.registry import Registry
from tests.deployments.store_process import tell_champion
from tests.forked import fork


def network() -> bytes:
    """Doubles its inputs (rows, 3)."""
    sides = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["rows", 3]) for name in ("inputs", "prediction")]
    graph = helper.make_graph(
        [helper.make_node("Add", ["inputs", "inputs"], ["prediction"])], "g", *[[s] for s in sides]
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)
    onnx.checker.check_model(model)
    return model.SerializeToString()


def runs(registry: Registry) -> list[Any]:
    from mlflow import MlflowClient

    client = MlflowClient(registry.tracking_uri)
    experiment = client.get_experiment_by_name(registry.model_name)
    return [] if experiment is None else list(client.search_runs([experiment.experiment_id]))


def log_and_register(registry: Registry, *versions: int) -> None:
    for version in versions:
        run = registry.log_candidate(f"{version}-update", {"version": version}, {"accuracy": 0.5}, {"lehr_batch": "ab"})
        registry.register(version, network(), run)


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    opened = Ledger(f"sqlite:///{tmp_path / 'ledger.db'}", lambda: datetime.now(UTC))
    yield opened
    opened.close()


def test_a_candidate_is_one_finished_run_however_often_it_is_logged(registry: Registry) -> None:
    first, again = (registry.log_candidate("1-update", {"a": 1}, {"accuracy": 0.5}, {"t": "x"}) for _ in range(2))
    other = registry.log_candidate("2-update", {"a": 2}, {}, {})
    assert first == again != other
    found = {run.info.run_id: run for run in runs(registry)}
    assert {run.info.status for run in found.values()} == {"FINISHED"}
    assert (found[first].data.params, found[first].data.metrics) == ({"a": "1"}, {"accuracy": 0.5})
    assert len(found) == 2


def test_a_registered_version_can_be_served_by_its_alias(registry: Registry) -> None:
    import mlflow.pyfunc

    log_and_register(registry, 4)
    registry.project_champion(4)
    served = mlflow.pyfunc.load_model("models:/lehr-line@champion")
    inputs_BC = np.arange(6, dtype=np.float32).reshape(2, 3)
    assert np.array_equal(served.predict(inputs_BC)["prediction"], 2 * inputs_BC)
    with pytest.raises(Exception, match="enforce schema"):
        served.predict(inputs_BC.astype(np.float64))


def test_a_version_is_registered_once(registry: Registry) -> None:
    from mlflow import MlflowClient

    log_and_register(registry, 2, 2)
    found = MlflowClient(registry.tracking_uri).search_model_versions("name='lehr-line'")
    assert [version.tags["lehr_version"] for version in found] == ["2"]


def test_the_alias_follows_the_ledger_again_after_a_kill_between_the_two(registry: Registry, ledger: Ledger) -> None:
    registry.reconcile(ledger)
    assert registry.champion() is None
    log_and_register(registry, 1, 3)
    ledger.promote("line", 1, None, {}, "first")
    registry.project_champion(1)
    ledger.promote("line", 3, 1, {}, "second")  # killed here: the alias was not moved
    assert registry.champion() == 1
    registry.reconcile(ledger)
    assert registry.champion() == 3


def test_a_version_that_is_not_registered_cannot_be_the_champion(registry: Registry) -> None:
    with pytest.raises(ValueError, match="version 7 of line is not registered in MLflow"):
        registry.project_champion(7)


def test_a_new_store_outlives_a_kill_and_processes_that_open_it_at_once(tmp_path: Path) -> None:
    """One process is killed while it makes MLflow's database; then two make it at once."""
    database, told = tmp_path / "mlflow" / "mlflow.db", [tmp_path / name for name in "abc"]
    for _ in range(5):
        killed = fork(tell_champion, str(database), str(told[0]))
        deadline = time.monotonic() + 60
        while not database.with_name("mlflow.db.part").exists() and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(0.2)
        killed.kill()
        killed.join()
        if not database.exists():
            break
        shutil.rmtree(database.parent)  # this process slept through all of it
    assert (killed.exitcode, database.exists(), told[0].exists()) == (-signal.SIGKILL, False, False)
    together = [fork(tell_champion, str(database), str(path)) for path in told[1:]]
    for process in together:
        process.join()
    assert [path.read_text() for path in told[1:]] == ["None"] * 2
    assert {path.name for path in database.parent.iterdir()} <= {"mlflow.db", "mlflow.db.lock"}
