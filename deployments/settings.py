"""Where lehr keeps its state, read once at the edges."""

from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """Set by environment variables with the prefix LEHR_."""

    model_config = SettingsConfigDict(env_prefix="LEHR_", extra="forbid", frozen=True)

    home: Path = Field(default=Path(".lehr"), description="the folder under which everything lives")
    database_url: str | None = Field(default=None, description="the ledger; default: SQLite under home")
    mlflow_uri: str | None = Field(default=None, description="MLflow's tracking store; default: SQLite under home")

    @property
    def ledger_url(self) -> str:
        """SQLAlchemy's URL of the ledger."""
        return self.database_url or f"sqlite:///{self.home.resolve() / 'ledger.db'}"

    @property
    def tracking_uri(self) -> str:
        """MLflow's URI of runs and models."""
        return self.mlflow_uri or f"sqlite:///{self.home.resolve() / 'mlflow' / 'mlflow.db'}"
