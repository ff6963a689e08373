"""What is kept of a retraining job, and the file of its pipeline."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, Field

from data.files import write_whole
from data.sources import Format
from deployments.settings import Settings

OWN_FILE = "pipeline.yaml"
"""The file, in the pipeline's own folder, of one that only jobs know."""


class JobFile(BaseModel):
    """A file that came with a job."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(examples=["kostroma-2026-01.csv"])
    sha256: str = Field(examples=["9f" * 32])
    bytes: int


class JobConfig(BaseModel):
    """What the ledger keeps of a job.

    pipeline: the one that learns; base: the served one that it is, or was made from for a site. document: its
    configuration; None: its file's. folder: where the job's files lie.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    folder: str
    pipeline: str
    base: str | None
    site: str | None
    document: dict[str, Any] | None
    file: JobFile
    format: Format
    model: JobFile | None


def pipeline_file(settings: Settings, served: Mapping[str, Path], job: JobConfig) -> Path:
    """The file of the job's pipeline; one that only jobs know is written into the pipeline's own folder.

    Raises ValueError where the service was started without it.
    """
    if job.document is None:
        if job.pipeline not in served:
            raise ValueError(f"the service was started without the pipeline {job.pipeline}")
        return served[job.pipeline]
    path = settings.home / job.pipeline / OWN_FILE
    text = yaml.safe_dump(job.document, sort_keys=False, allow_unicode=True).encode()
    if not path.is_file() or path.read_bytes() != text:
        write_whole(path, text)
    return path
