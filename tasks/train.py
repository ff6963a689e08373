"""Train: a network on stored data, its epochs followed on the run's page."""

from typing import Any

from prefect import task
from prefect.artifacts import create_markdown_artifact
from prefect.cache_policies import NO_CACHE

from deployments.training import StoredData, Trained, train_on
from tasks.cancelling import ends_between_batches
from tasks.progress import ProgressArtifact
from tasks.show import artifact_key


@task(name="train", task_run_name="train {data.config.name}", cache_policy=NO_CACHE)
def train_network(data: StoredData) -> Trained:
    """Train from nothing."""
    return train_on(data, [ProgressArtifact(f"epochs of {data.config.name}"), ends_between_batches()])


@task(name="show training", cache_policy=NO_CACHE)
def show_training(pipeline: str, result: dict[str, Any]) -> None:
    """The training's result as a page."""
    scores = "\n".join(f"| {name} | {value:.4g} |" for name, value in (result["scores"] or {}).items())
    head = f"## {pipeline}: {len(result['epochs'])} epochs on {result['rows']:,} rows\n\n`{result['model']}`\n"
    create_markdown_artifact(
        f"{head}\n| held-out rows | |\n|---|---|\n{scores}", key=artifact_key("training", pipeline)
    )
