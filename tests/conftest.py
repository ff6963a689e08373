import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from tempfile import mkdtemp

import pytest
from filelock import FileLock
from hypothesis import settings

settings.register_profile("the same every time", derandomize=True)
settings.load_profile("the same every time")

TESTS = Path(__file__).parent
ROOT = TESTS.parent
LONGEST = ("operations", "flows", "service", "deployments", "test_usage_snippets.py", "learning")
"""What begins, in this order: three files go at a time, and the last is not to be a long one."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    rooms = {room: place for place, room in enumerate(LONGEST)}
    items.sort(key=lambda item: rooms.get(item.path.relative_to(TESTS).parts[0], len(LONGEST)))


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
def prefect_server(session_folder: Path) -> Iterator[None]:
    """A real Prefect server in a temporary home, for the whole session.

    The first process's server makes its database, which takes ten seconds; those of the others begin with a copy.
    """
    os.environ["PREFECT_SERVER_ANALYTICS_ENABLED"] = "false"
    os.environ["DO_NOT_TRACK"] = "1"
    os.environ["PREFECT_LOGGING_LEVEL"] = "WARNING"
    from prefect.testing import utilities

    from deployments.prefect_server import replace_temporary_servers

    replace_temporary_servers()
    made, folder = session_folder / "prefect.db", Path(mkdtemp())  # the harness removes it
    database, harness = folder / "prefect-test.db", utilities.prefect_test_harness(server_startup_timeout=180)
    with pytest.MonkeyPatch.context() as patch, ExitStack() as up:
        patch.setattr(utilities, "mkdtemp", lambda: str(folder))
        with FileLock(f"{made}.lock"):
            if first := not made.exists():
                up.enter_context(harness)
                with closing(sqlite3.connect(database)) as server, closing(sqlite3.connect(made)) as copy:
                    server.backup(copy)
        if not first:
            shutil.copy(made, database)
            up.enter_context(harness)
        yield
