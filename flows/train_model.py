"""A training of its own on what the feature store holds: an ONNX file and its scores; nothing goes live."""

from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

from prefect import flow
from prefect.runtime import flow_run
from pydantic import Field

from deployments.line import Overrides
from deployments.pipeline import PipelineConfig
from deployments.ranges import Range
from deployments.settings import Settings
from deployments.training import read_stored, save_trained
from tasks.train import show_training, train_network


def _run_name() -> str:
    return f"train {Path(flow_run.parameters['pipeline']).stem}"


@flow(name="train-model", flow_run_name=_run_name)
def train_model(
    pipeline: str,
    days: Annotated[int, Field(ge=1)] | None = None,
    epochs: Annotated[int, Field(ge=1, le=10_000)] | None = None,
    seed: Annotated[int, Field(ge=0)] | None = None,
    home: str | None = None,
) -> dict[str, Any]:
    """Train a network from nothing on the feature store; the loop and its champion are left alone.

    Args:
        pipeline: the pipeline file.
        days: learn from the last days before the newest row; by default from all.
        epochs: by default as the pipeline file says.
        seed: by default as the pipeline file says.
        home: where lehr keeps its state.
    """
    settings = Settings() if home is None else Settings(home=Path(home))
    config = Overrides(seed=seed, epochs=epochs).apply(PipelineConfig.load(Path(pipeline)))
    data = read_stored(config, settings, Range(days))
    trained = train_network(data)
    path = save_trained(settings, config.name, trained, datetime.now(UTC))
    history = [asdict(epoch) for epoch in trained.candidate.history]
    result = {"model": str(path), "rows": data.rows.height, "scores": trained.scores, "epochs": history}
    show_training(config.name, result)
    return result
