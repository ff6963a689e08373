"""How the service listens, and what it refuses as too much."""

from pathlib import Path
from typing import Literal, Self

from pydantic import Field, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

LOOPBACK = ("127.0.0.1", "localhost", "::1")
MIB = 2**20


class ServiceSettings(BaseSettings):
    """Set by environment variables with the prefix LEHR_SERVE_."""

    model_config = SettingsConfigDict(env_prefix="LEHR_SERVE_", extra="forbid", frozen=True)

    host: str = Field(default="127.0.0.1", description="another needs tokens that were made before")
    port: int = Field(default=8000, ge=0, le=65535)
    hosts: list[str] = Field(default=[], description="more names under which clients may call the service")
    tokens: str | None = Field(default=None, description="what a tokens file holds, instead of one under home")
    max_body_bytes: int = Field(default=1 * MIB, ge=1024, description="of a request that brings no data")
    max_data_bytes: int = Field(default=512 * MIB, ge=1024, description="of a file that is sent")
    max_unpacked_bytes: int = Field(default=2048 * MIB, ge=1024, description="of what a compressed file holds")
    max_tensor_bytes: int = Field(default=64 * MIB, ge=1024, description="of a request for predictions")
    requests_per_minute: int | None = Field(default=None, ge=1, description="of one token; null: as many as come")
    body_seconds: float = Field(default=30, gt=0, description="how long a client may stay silent amid a request")
    head_seconds: float = Field(default=20, gt=0, description="what a client gets to say what it wants")
    stop_seconds: float = Field(default=10, gt=0, description="what requests and trainings get to end in")
    receipt_seconds: float = Field(default=0.2, gt=0, description="after which predictions are on disk")
    receipts_first: bool = Field(default=False, description="answer only once the receipt is on disk")
    inputs_share: float = Field(default=1.0, ge=0, le=1, description="of the predictions whose readings are kept")
    max_model_bytes: int = Field(default=128 * MIB, ge=1024, description="of a model that is sent")
    jobs_at_once: int = Field(default=1, ge=1, description="more retraining jobs wait until one has ended")
    job_memory_bytes: int = Field(default=4096 * MIB, ge=64 * MIB, description="that a job's training may take")
    job_cpu_seconds: int = Field(default=4 * 3600, ge=1, description="of processor time for a job's training")
    job_seconds: float = Field(default=8 * 3600, gt=0, description="for a job's training, and again for judging it")
    job_file_bytes: int = Field(default=1024 * MIB, ge=MIB, description="of a file that a job's training writes")
    job_open_files: int = Field(default=256, ge=64, description="that a job's training may have open at once")
    job_isolation: Literal["auto", "bwrap", "limits"] = Field(
        default="auto", description="bwrap: no training without it; auto: with it where it works; limits: without it"
    )
    job_deployment: str | None = Field(
        default=None, description="a deployment of the flow train-job, such as train-job/job, that trains instead"
    )
    prefect_api: str | None = Field(
        default=None, pattern=r"^https?://", description="Prefect's API; null: that of the home's own lehr up"
    )
    trainings_at_once: int = Field(default=1, ge=1, description="more wait until one has ended")

    @property
    def known_hosts(self) -> frozenset[str]:
        """The names that a request's Host header may hold, without ports."""
        return frozenset(name.lower() for name in (*LOOPBACK, self.host, *self.hosts))

    @model_validator(mode="after")
    def _names_are_plain(self) -> Self:
        for name in self.hosts:
            if "/" in name or "*" in name or not name:
                raise ValueError(f"hosts: {name!r} is no host name; write it without scheme, path and wildcard")
        return self


def audit_path(home: Path) -> Path:
    """Where it is noted who changed what, and who was refused."""
    return home / "logs" / "audit.jsonl"
