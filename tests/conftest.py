import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

settings.register_profile("the same every time", derandomize=True)
settings.load_profile("the same every time")

ROOT = Path(__file__).parent.parent


@pytest.fixture
def shared_data() -> Path:
    """The folder of public data sets; it is never part of the project."""
    folder = Path(os.environ.get("LEHR_SHARED_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no public data sets at {folder} (set LEHR_SHARED_DATA)")
    return folder


@pytest.fixture(scope="session")
def session_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One folder for all processes of a session of tests."""
    base = tmp_path_factory.getbasetemp()
    return base.parent if "PYTEST_XDIST_WORKER" in os.environ else base


@pytest.fixture(scope="session", autouse=True)
def one_mlflow_migration(session_folder: Path) -> Iterator[None]:
    """MLflow's new database is made once a session and copied into each test's home: its migrations take a second.

    Processes of their own make theirs, in tests/deployments/test_registry.py two at once.
    """
    from deployments import registry

    create, made = registry.create_store, session_folder / "mlflow" / "mlflow.db"

    def copy(tracking_uri: str) -> None:
        path = Path(tracking_uri.removeprefix("sqlite:///"))
        if tracking_uri.startswith("sqlite:///") and not path.exists():
            create(f"sqlite:///{made}")
            path.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(made, path.with_name("mlflow.db.copied"))
            path.with_name("mlflow.db.copied").rename(path)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(registry, "create_store", copy)
        yield


@pytest.fixture(scope="session")
def prefect_server() -> Iterator[None]:
    """A real Prefect server in a temporary home, for the whole session."""
    os.environ["PREFECT_SERVER_ANALYTICS_ENABLED"] = "false"
    os.environ["DO_NOT_TRACK"] = "1"
    os.environ["PREFECT_LOGGING_LEVEL"] = "WARNING"
    from prefect.testing.utilities import prefect_test_harness

    from deployments.prefect_server import replace_temporary_servers

    replace_temporary_servers()
    with prefect_test_harness(server_startup_timeout=180):
        yield
