import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from data.synthetic import write_line
from tests.operations.plant import ROOT, Plant, free_port, until

PIPELINE = """
name: line
task: classification
data: {target: defect, timestamp: time}
model: {architecture: mlp, hidden_units: [32, 16], dropout: 0.0}
training: {epochs: 40}
trigger: {any: [{kind: drift}]}
gate: {metric: accuracy, threshold: 0.3}
drift: {report: never}
schedule: {learn: "0 3 * * *", watch_minutes: 1}
"""


@pytest.fixture(scope="session")
def plant(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plant]:
    folder = tmp_path_factory.mktemp("plant")
    pipeline = folder / "line.yaml"
    pipeline.write_text(PIPELINE)
    batches = write_line(folder / "batches", batches=6, rows=400)
    home, prefect, mlflow = folder / "home", free_port(), free_port()
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("PREFECT_", "LEHR_"))}
    environment |= {"LEHR_PREFECT_PORT": str(prefect), "LEHR_MLFLOW_PORT": str(mlflow), "PYTHONUNBUFFERED": "1"}
    command = [sys.executable, "lehr.py", "up", str(pipeline), "--home", str(home)]
    log = folder / "up.log"
    with log.open("wb") as output:
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=output, stderr=subprocess.STDOUT)
    try:
        until(lambda: True if "up; Ctrl-C" in log.read_text() or process.poll() is not None else None)
        assert process.poll() is None, log.read_text()
        yield Plant(f"http://127.0.0.1:{prefect}/api", home, pipeline, batches, process)
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(60)
    assert "all stopped" in log.read_text()
