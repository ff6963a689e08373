"""MLflow's database, opened by a process that may be killed over making it."""

from pathlib import Path

import mlflow.store.model_registry.sqlalchemy_store
import mlflow.store.tracking.sqlalchemy_store  # noqa: F401  both are imported before the fork

from deployments.registry import Registry


def tell_champion(database: str, told: str) -> None:
    """Write the version that the registry's alias points at to a file."""
    Path(told).write_text(str(Registry(f"sqlite:///{database}", "line").champion()))
