"""A retraining job's folder as the service lays it out, and small plants' files."""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np

from deployments.job_training import JobFolder, Lesson
from deployments.pipeline import PipelineConfig

DOCUMENT: dict[str, Any] = {
    "name": "line",
    "task": "classification",
    "data": {"target": "quality"},
    "model": {"architecture": "mlp", "hidden_units": [8], "dropout": 0.0},
    "training": {"epochs": 30},
    "drift": {"report": "never"},
}


def site_csv(rows: int = 400, seed: int = 0, noise: float = 0.3) -> bytes:
    """Two readings, and a quality that follows from them; with much noise it follows from nothing."""
    rng = np.random.default_rng(seed)
    heat, speed = rng.normal(900, 10, rows), rng.normal(60, 3, rows)
    quality = np.where((heat - 900) / 10 + (speed - 60) / 3 + rng.normal(0, noise, rows) > 0, "good", "bad")
    lines = [f"{h:.3f},{s:.3f},{q}" for h, s, q in zip(heat, speed, quality, strict=True)]
    return "\n".join(["heat,speed,quality", *lines, ""]).encode()


def make_job(
    path: Path,
    content: bytes,
    document: dict[str, Any] = DOCUMENT,
    model: bytes | None = None,
    suffix: str = ".onnx",
    **more: Any,
) -> JobFolder:
    """A job's folder; more: other keys of the lesson."""
    folder = JobFolder(path)
    folder.given.mkdir(parents=True)
    folder.work.mkdir()
    (folder.given / "data.csv").write_bytes(content)
    if model is not None:
        (folder.given / f"model{suffix}").write_bytes(model)
        more |= {"model": f"model{suffix}", "origin": f"ours{suffix}"}
    config = PipelineConfig.parse(document, "the test").model_dump(mode="json")
    known = {"config": config, "columns": None, "name": "h.csv", "format": "csv", "number": 1}
    lesson = Lesson(**{**known, "sha256": hashlib.sha256(content).hexdigest(), **more})
    (folder.given / "lesson.json").write_text(lesson.model_dump_json())
    return folder
