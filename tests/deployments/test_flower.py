"""A federation over Flower: a superlink and three supernodes, processes of Flower's own environment, on 127.0.0.1."""

import json
import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import polars as pl
import pytest
import torch

from deployments.federation_files import load_model
from learning.federated import FederatedLearningCoordinator
from learning.federation.results import FederatedModel
from tests.learning.federation.plants import MODEL, TRAINING, plant

FLOWER = os.environ.get("LEHR_FLOWER")
CHECKOUT = Path(__file__).parents[2]
NAMES = ("node-1", "node-2", "node-3")
pytestmark = [
    pytest.mark.skipif(FLOWER is None, reason="make test-flower builds Flower's environment"),
    pytest.mark.timeout(2400),
]


class Flower:
    """Its processes, all ended at the end. folder: their home and what they print."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._running = folder, list[subprocess.Popen[bytes]]()
        quiet = {"FLWR_TELEMETRY_ENABLED": "0", "FLWR_DISABLE_UPDATE_CHECK": "1", "FLWR_HOME": str(folder)}
        paths = {"PYTHONPATH": str(CHECKOUT), "PATH": f"{FLOWER}{os.pathsep}{os.environ['PATH']}"}
        self._env = {**os.environ, **quiet, **paths, "FLWR_SUPEREXEC_TASK_POLL_INTERVAL": "0.1", "OMP_NUM_THREADS": "1"}
        self._link = f"127.0.0.1:{free_port()}"
        (folder / "config.toml").write_text(
            f'[superlink]\ndefault = "here"\n[superlink.here]\naddress = "{self._link}"\ninsecure = true\n'
        )

    def start(self) -> None:
        """A superlink and a supernode for each node."""
        host, port = self._link.split(":")
        once = "--disable-runtime-dependency-installation"
        self._begin("flower-superlink", "--insecure", "--host", host, "--port", port, once)
        until = monotonic() + 60
        while not listens(self._link) and monotonic() < until:
            sleep(0.2)
        for name in NAMES:
            config = f'name="{name}" file="{self._folder / name / "node.yaml"}"'
            own = ("--port", str(free_port()), "--node-config", config)
            self._begin("flower-supernode", "--insecure", "--superlink", self._link, *own)

    def run(self, job: dict[str, Any], folder: Path) -> FederatedModel:
        """What a federation leaves."""
        folder.mkdir()
        (folder / "job.yaml").write_text(json.dumps(job))
        said = f'job="{folder / "job.yaml"}" folder="{folder}"'
        command = [f"{FLOWER}/flwr", "run", str(CHECKOUT / "deployments" / "flower"), "--run-config", said]
        subprocess.run(command, env=self._env, check=True, timeout=60, capture_output=True)
        until = monotonic() + 1000  # a question is three processes started, up to fifty seconds on a machine at work
        while not (folder / "report.json").exists() and monotonic() < until:
            sleep(0.5)
        model = load_model(folder / "model.bin")
        assert model is not None, (self._folder / "flower-superlink.log").read_text()[-4000:]
        return model

    def stop(self) -> None:
        for process in self._running:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def _begin(self, program: str, *arguments: str) -> None:
        with (self._folder / f"{program}.log").open("ab") as log:
            command = [f"{FLOWER}/{program}", *arguments]
            self._running.append(
                subprocess.Popen(command, env=self._env, stdout=log, stderr=log, start_new_session=True)
            )


@pytest.fixture
def flower(tmp_path: Path) -> Iterator[Flower]:
    for number, name in enumerate(NAMES):
        (tmp_path / name).mkdir()
        readings, classes = plant(number, 100)
        frame = pl.DataFrame(readings, schema=list("abcd")).with_columns(label=pl.Series(classes).cast(pl.String))
        frame.write_csv(tmp_path / name / "rows.csv")
        file = {"federation": "furnaces", "source": "rows.csv", "data": {"target": "label", "order": "none"}}
        (tmp_path / name / "node.yaml").write_text(json.dumps({**file, "task": "classification"}))
    processes = Flower(tmp_path)
    try:
        processes.start()
        yield processes
    finally:
        processes.stop()


def test_the_weights_are_those_of_our_own_coordinator(flower: Flower, tmp_path: Path) -> None:
    """By fedavg, and with masks that live in the nodes' journals from one of Flower's processes to the next."""
    parts = {"model": MODEL.model_dump(mode="json"), "training": TRAINING.model_dump(mode="json")}
    for folder, federation in (("plain", {"rounds": 2}), ("secure", {"rounds": 1, "secure": True})):
        job = {"name": "furnaces", "nodes": list(NAMES), **parts, "federation": federation}
        over_flower, own = flower.run(job, tmp_path / folder), alone(tmp_path, federation)
        assert [one["answered"] for one in over_flower.rounds] == [list(NAMES)] * federation["rounds"]
        pairs = zip(over_flower.network.state_dict().values(), own.network.state_dict().values(), strict=True)
        assert all(torch.allclose(a, b, rtol=1e-5, atol=1e-6) for a, b in pairs)


def alone(folder: Path, federation: dict[str, Any]) -> FederatedModel:
    """The same federation in this process."""
    others = {key: value for key, value in federation.items() if key != "rounds"}
    coordinator = FederatedLearningCoordinator(
        model=MODEL,
        training=TRAINING,
        federation=others,
        data={"target": "label", "order": "none"},
        task="classification",
    )
    return coordinator.coordinate_training({n: folder / n / "rows.csv" for n in NAMES}, federation["rounds"])


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


def listens(address: str) -> bool:
    host, port = address.split(":")
    try:
        socket.create_connection((host, int(port)), 1).close()
    except OSError:
        return False
    return True
