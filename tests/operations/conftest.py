from collections.abc import Iterator

import pytest

from data.synthetic import write_line
from tests.operations.plant import Plant, bring_up

PIPELINE = """
name: line
task: classification
data: {target: defect, timestamp: time}
model: {architecture: mlp, hidden_units: [32, 16], dropout: 0.0}
training: {epochs: 20, patience: 100000}
trigger: {any: [{kind: drift}]}
gate: {metric: accuracy, threshold: 0.3}
drift: {report: never}
schedule: {learn: "0 3 * * *", watch_minutes: 1}
"""


@pytest.fixture(scope="module")
def plant(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plant]:
    folder = tmp_path_factory.mktemp("plant")
    pipeline = folder / "line.yaml"
    pipeline.write_text(PIPELINE)
    batches = write_line(folder / "batches", batches=6, rows=400)
    with bring_up(folder, pipeline, batches=batches) as up:
        yield up
