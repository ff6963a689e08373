from pathlib import Path

import pytest


@pytest.fixture(scope="session", autouse=True)
def with_prefect_server(prefect_server: None) -> None:
    """Every flow here runs against it."""


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
