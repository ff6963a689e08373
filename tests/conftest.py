import os
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
def prefect_server() -> Iterator[None]:
    """A real Prefect server in a temporary home, for the whole session."""
    os.environ["PREFECT_SERVER_ANALYTICS_ENABLED"] = "false"
    os.environ["DO_NOT_TRACK"] = "1"
    os.environ["PREFECT_LOGGING_LEVEL"] = "WARNING"
    from prefect.testing.utilities import prefect_test_harness

    with prefect_test_harness(server_startup_timeout=180):
        yield
