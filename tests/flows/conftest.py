import os
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture(scope="session", autouse=True)
def prefect_server() -> Iterator[None]:
    """A real Prefect server in a temporary home, for the whole session."""
    os.environ["PREFECT_SERVER_ANALYTICS_ENABLED"] = "false"
    os.environ["DO_NOT_TRACK"] = "1"
    os.environ["PREFECT_LOGGING_LEVEL"] = "WARNING"
    from prefect.testing.utilities import prefect_test_harness

    with prefect_test_harness():
        yield


PIPELINE = """
name: line
task: classification
data: {target: defect, timestamp: time}
model: {architecture: mlp, hidden_units: [32, 16], dropout: 0.0}
training: {epochs: 10}
trigger: {any: [{kind: rows, count: 1}]}
gate: {metric: accuracy, threshold: 0.3}
drift: {report: never}
"""


@pytest.fixture
def pipeline(tmp_path: Path) -> Path:
    path = tmp_path / "line.yaml"
    path.write_text(PIPELINE)
    return path


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Four clean batches of the synthetic line."""
    from data.synthetic import write_line

    write_line(tmp_path / "source", batches=4, rows=200)
    return tmp_path / "source"
