"""A small plant: files that a client could send, and a pipeline with stored batches and versions in production."""

import hashlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from data.feature_store import FeatureStore
from data.landing import sound_rows
from data.ledger import Ledger
from data.readers import read_batch
from data.schema import Schema, resolve_schema
from data.sources import Arrival
from data.splits import mark_rows
from deployments.line import _as_json  # pyright: ignore[reportPrivateUsage]
from deployments.outcomes import Batch
from deployments.pipeline import PipelineConfig
from deployments.portable import unpack
from deployments.report import batch_record
from deployments.settings import Settings
from deployments.training import Trained, read_given, train_on
from deployments.versions import save_version
from service.core import now

PIPELINE = """
name: line
task: classification
data: {target: quality}
model: {architecture: mlp, hidden_units: [8], dropout: 0.0}
training: {epochs: 5}
"""


def history_csv(rows: int = 600, seed: int = 0) -> bytes:
    """Two readings, and a quality that follows from them."""
    rng = np.random.default_rng(seed)
    heat, speed = rng.normal(900, 10, rows), rng.normal(60, 3, rows)
    quality = np.where((heat - 900) / 10 + (speed - 60) / 3 + rng.normal(0, 0.3, rows) > 0, "good", "bad")
    lines = [f"{h:.3f},{s:.3f},{q}" for h, s, q in zip(heat, speed, quality, strict=True)]
    return "\n".join(["heat,speed,quality", *lines, ""]).encode()


@dataclass(frozen=True)
class Plant:
    """A pipeline under a home, as the loop would have left it."""

    home: Path
    pipeline: Path
    config: PipelineConfig
    schema: Schema
    ledger: Ledger

    def deliver(self, number: int) -> str:
        """Store the batch of this number; its id."""
        arrival = Arrival(f"{number}.csv", history_csv(200, seed=number), "csv")
        entry = self.ledger.open_batch("line", arrival.id, arrival.name)
        rows = mark_rows(sound_rows(read_batch(arrival, self.schema), None, ()), self.config.data, entry.number)
        FeatureStore(self.home / "line" / "store", "quality").append(arrival.id, rows)
        self.ledger.record_step("line", arrival.id, "store", {"delta_version": entry.number - 1, "rows": rows.height})
        return arrival.id

    def finish(self, number: int, name: str, score: float, reason: str, passed: bool = True) -> None:
        """Let the loop be done with the stored batch of this number: updated from, and judged; one sensor drifts."""
        batch_id = self.deliver(number)
        check = {"name": "threshold", "value": score, "limit": 0.6, "passed": passed, "text": f"threshold: {score}"}
        far = {"heat": {"distance": 2.0 * number, "threshold": 3.0}, "speed": {"distance": 0.1, "threshold": 1.0}}
        journal: dict[str, Any] = {
            "validate": {"refusal": None, "warnings": [], "rows": 200, "rows_quarantined": 0},
            "watch": {"score_before": {"accuracy": score}, "drift": {"drifted": number > 1, "features": far}},
            "decide": {"action": "update", "reason": reason},
            "learn:update": {"samples": 100, "seconds": 1.0, "notes": []},
            "judge:update": {"verdict": {"passed": passed, "checks": [check]}, "champion": None, "score": score},
            **({"promote": {}} if passed else {}),
        }
        if passed:
            self.promote(0)
        champion = self.ledger.champion("line")
        batch = Batch(self.ledger.open_batch("line", batch_id, name).number, batch_id, name)
        record = batch_record(batch, journal, champion.version if champion else None)
        self.ledger.record_step("line", batch_id, "finish", record)

    def promote(self, seed: int) -> int:
        """Put a version into production that was trained with this seed; its number."""
        trained, number = trained_version(self.config.training.seed + seed), self.ledger.next_version("line")
        contents = unpack(trained.onnx)
        folder = self.home / "line" / "versions" / str(number)
        digest = save_version(folder, trained.onnx, contents.card, contents.reference, contents.memory)
        self.ledger.register_version("line", number, digest, None, 1, "bootstrap")
        champion = self.ledger.champion("line")
        self.ledger.promote("line", number, champion.version if champion else None, {"checks": []}, f"seed {seed}")
        return number


@cache
def trained_version(seed: int) -> Trained:
    """A version, by its seed."""
    config = PipelineConfig.parse(
        {
            "name": "line",
            "task": "classification",
            "data": {"target": "quality"},
            "model": {"architecture": "mlp", "hidden_units": [8], "dropout": 0.0},
            "training": {"epochs": 5, "seed": seed},
        },
        "the test",
    )
    return train_on(read_given(config, Arrival("h.csv", history_csv(), "csv")))


def make_plant(folder: Path, home: Path, key: str | None = None) -> Plant:
    """A pipeline whose columns are declared, and to which nothing came yet; key: a column that names each row."""
    pipeline = folder / "line.yaml"
    pipeline.write_text(PIPELINE if key is None else PIPELINE.replace("quality}", f"quality, key: {key}}}"))
    config = PipelineConfig.load(pipeline)
    columns = ["heat", "speed", "quality", *([] if key is None else [key])]
    schema = resolve_schema(config.data, config.task, columns)
    ledger = Ledger(Settings(home=home).ledger_url, now)
    ledger.declare_schema("line", {"columns": columns, **_as_json(schema)})
    return Plant(home, pipeline, config, schema, ledger)


def digest(content: bytes) -> str:
    """A batch's id."""
    return hashlib.sha256(content).hexdigest()
