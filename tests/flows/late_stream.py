"""A stream of batches with a key, whose labels may come later."""

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from data.feature_store import FeatureStore
from data.ledger import Ledger
from deployments.line import open_ledger
from deployments.settings import Settings
from flows.learn_continuously import learn_continuously

PIPELINE = """
name: line
task: classification
data: {target: side, key: [line, piece]}
model: {architecture: mlp, hidden_units: [8], dropout: 0.0}
training: {epochs: 60, batch_size: 32, learning_rate: 0.01}
trigger: {any: [{kind: rows, count: 1}]}
gate: {threshold: 0.2, max_forgetting: 1.0, max_regression: 1.0}
drift: {report: never}
"""
ROWS = 200


def batch(number: int, turned: bool = False) -> pl.DataFrame:
    """Rows whose side a line tells; turned: the other way round."""
    values = np.random.default_rng(number).standard_normal((ROWS, 3)).astype(np.float32)
    side = (values[:, 0] + values[:, 1] > 0) ^ turned
    columns = {name: values[:, i] for i, name in enumerate("abc")}
    piece = pl.int_range(ROWS * number, ROWS * (number + 1), eager=True)
    return pl.DataFrame({"line": ["A"] * ROWS, "piece": piece, **columns, "side": np.where(side, "up", "down")})


def write(inbox: Path, name: str, frame: pl.DataFrame) -> Path:
    inbox.mkdir(exist_ok=True)
    frame.write_csv(inbox / name)
    return inbox / name


def unlabelled(number: int) -> pl.DataFrame:
    return batch(number).drop("side")


def labels(number: int) -> pl.DataFrame:
    return batch(number).select("line", "piece", "side")


def run(pipeline: Path, *sources: Path, **options: Any) -> list[dict[str, Any]]:
    files = [str(source) for source in sources]
    return learn_continuously(pipeline=str(pipeline), sources=files, home=str(pipeline.parent / "home"), **options)[
        "batches"
    ]


def stored(pipeline: Path) -> pl.DataFrame:
    return FeatureStore(pipeline.parent / "home" / "line" / "store", "side").read()


def ledger(pipeline: Path) -> Ledger:
    return open_ledger(Settings(home=pipeline.parent / "home"))


def truth(numbers: list[int]) -> dict[str, str]:
    return {str(piece): side for n in numbers for piece, side in batch(n).select("piece", "side").iter_rows()}
