import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from deployments.registry import Registry

ROOT = Path(__file__).parents[2]
OPEN = "import sys; from deployments.registry import Registry; print(Registry(sys.argv[1], 'line').champion())"


@pytest.fixture(scope="session")
def new_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """MLflow's database, made by two processes at once after a third was killed while it made it.

    Making one takes seconds, so that tests share it.
    """
    path = tmp_path_factory.mktemp("mlflow") / "mlflow.db"
    command = [sys.executable, "-W", "ignore", "-c", OPEN, f"sqlite:///{path}"]
    with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.DEVNULL) as killed:
        deadline = time.monotonic() + 60
        while not path.with_name("mlflow.db.part").exists() and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(0.5)
        os.kill(killed.pid, signal.SIGKILL)
    assert not path.exists()
    children = [subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) for _ in "ab"]
    assert [child.communicate()[0].split() for child in children] == [[b"None"]] * 2
    return path


@pytest.fixture
def registry(new_store: Path, tmp_path: Path) -> Registry:
    """A pipeline's registry with nothing in it."""
    path = tmp_path / "mlflow" / "mlflow.db"
    path.parent.mkdir()
    shutil.copy(new_store, path)
    return Registry(f"sqlite:///{path}", "line")
