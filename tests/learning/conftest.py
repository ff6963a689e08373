from pathlib import Path

import pytest

PIPELINE = """
name: line
task: classification
data: {target: defect, timestamp: time}
model: {architecture: mlp, hidden_units: [32, 16], dropout: 0.0}
training: {epochs: 10}
gate: {metric: accuracy}
drift: {report: never}
"""


@pytest.fixture(scope="session")
def line_home(tmp_path_factory: pytest.TempPathFactory, prefect_server: None) -> Path:
    """A home after the first batch of a synthetic line; its four files lie in `source` beside it. Not to be changed."""
    from data.synthetic import write_line
    from flows.learn_continuously import learn_continuously

    folder = tmp_path_factory.mktemp("line")
    write_line(folder / "source", batches=4, rows=800)
    (folder / "line.yaml").write_text(PIPELINE)
    first = sorted((folder / "source").glob("*.csv"))[0]
    learn_continuously(pipeline=str(folder / "line.yaml"), sources=[str(first)], home=str(folder / "home"))
    return folder / "home"
