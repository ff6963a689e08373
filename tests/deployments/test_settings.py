from pathlib import Path

import pytest

from deployments.settings import Settings


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
