from pathlib import Path

import pytest

from deployments.registry import Registry


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    """A pipeline's registry with nothing in it."""
    return Registry(f"sqlite:///{tmp_path / 'mlflow' / 'mlflow.db'}", "line")
