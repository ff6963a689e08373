"""Where lehr keeps its state, read once at the edges."""

import os
from pathlib import Path
from typing import Literal

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

SERVER_SECONDS = 180
"""That Prefect's temporary server has to start; its own 20 are too few on a machine that is at work."""


class Settings(BaseSettings):
    """Set by environment variables with the prefix LEHR_."""

    model_config = SettingsConfigDict(env_prefix="LEHR_", extra="forbid", frozen=True)

    home: Path = Field(default=Path(".lehr"), description="the folder under which everything lives")
    database_url: str | None = Field(default=None, description="the ledger; default: SQLite under home")
    mlflow_uri: str | None = Field(default=None, description="MLflow's tracking store; default: SQLite under home")
    mlflow_pages: str | None = Field(default=None, description="where MLflow's pages are served; lehr up sets it")
    prefect_database_url: str | None = Field(
        default=None, description="Prefect's database, such as postgresql+asyncpg://…; default: SQLite under home"
    )
    wait_seconds: float = Field(
        default=0, ge=0, description="how long a run waits for another that is at work on the same pipeline"
    )
    fleet_runner: Literal["threads", "processes", "dask"] = Field(
        default="processes", description="what learn-fleet runs its pipelines on; dask needs the extra of that name"
    )
    fleet_workers: int = Field(default=2, ge=1, description="how many pipelines of a fleet learn at once")
    prefect_port: int = Field(default=4200, ge=1, le=65535)
    mlflow_port: int = Field(default=5000, ge=1, le=65535)
    alert_webhook: str | None = Field(default=None, description="a URL that alerts are posted to as JSON")
    alert_block: str | None = Field(
        default=None, description="a notification block of Prefect's, such as slack-webhook/plant"
    )

    events_kafka: str | None = Field(default=None, description="where events are told, as host:port,host:port")
    events_redis: str | None = Field(default=None, description="where events are told, such as redis://127.0.0.1:6379")
    events_topic: str = Field(default="lehr.events", min_length=1, description="the topic or stream of events")
    events_settings: dict[str, str] = Field(default={}, description="further settings of librdkafka, as JSON")

    @property
    def ledger_url(self) -> str:
        """SQLAlchemy's URL of the ledger."""
        return self.database_url or f"sqlite:///{self.home.resolve() / 'ledger.db'}"

    @property
    def tracking_uri(self) -> str:
        """MLflow's URI of runs and models."""
        return self.mlflow_uri or f"sqlite:///{self.home.resolve() / 'mlflow' / 'mlflow.db'}"


def keep_quiet(settings: Settings) -> None:
    """Keep Prefect's own state under lehr's home and send nothing outside; a server of the user's is used if set.

    To be called before Prefect or MLflow is imported.
    """
    folder = (settings.home / "prefect").resolve()
    folder.mkdir(parents=True, exist_ok=True)
    os.environ.setdefault("PREFECT_HOME", str(folder))
    os.environ.setdefault("PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS", str(SERVER_SECONDS))
    os.environ.setdefault("PREFECT_SERVER_ANALYTICS_ENABLED", "false")
    os.environ.setdefault("DO_NOT_TRACK", "1")
    os.environ.setdefault("PREFECT_LOGGING_LEVEL", "WARNING")
    os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")
