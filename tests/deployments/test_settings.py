import os
import subprocess
import sys
from pathlib import Path

import pytest

from deployments.settings import SERVER_SECONDS, Settings, keep_quiet


def test_everything_lies_under_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("LEHR_HOME", raising=False)
    settings = Settings()
    assert settings.ledger_url == f"sqlite:///{tmp_path}/.lehr/ledger.db"
    assert settings.tracking_uri == f"sqlite:///{tmp_path}/.lehr/mlflow/mlflow.db"


def test_the_environment_names_other_places(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LEHR_HOME", "/plant")
    monkeypatch.setenv("LEHR_DATABASE_URL", "postgresql+psycopg://plant/lehr")
    monkeypatch.setenv("LEHR_MLFLOW_URI", "http://mlflow")
    settings = Settings()
    assert settings.home == Path("/plant")
    assert (settings.ledger_url, settings.tracking_uri) == ("postgresql+psycopg://plant/lehr", "http://mlflow")


def test_a_slow_machine_has_time_to_start_prefects_temporary_server(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(os, "environ", {})
    keep_quiet(Settings(home=tmp_path))
    asked = "from prefect.settings import PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS as s; print(s.value())"
    environment = {"PATH": os.defpath, **os.environ}
    told = subprocess.run([sys.executable, "-c", asked], env=environment, capture_output=True, text=True, check=True)
    assert int(told.stdout) == SERVER_SECONDS
