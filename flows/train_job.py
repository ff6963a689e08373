"""A retraining job's training in a work pool of Prefect's: a container, or another machine with the same home."""

from pathlib import Path

from prefect import flow

from deployments.settings import Settings
from tasks.job import train_in_folder


@flow(name="train-job", flow_run_name="train {folder}")
def train_job(folder: str, home: str | None = None) -> None:
    """Check the file of a retraining job and train on it; the service judges what comes of it.

    Args:
        folder: the job's folder, as seen from home.
        home: where lehr keeps its state.
    """
    settings = Settings() if home is None else Settings(home=Path(home))
    train_in_folder(settings.home / folder)
