"""Where retraining jobs' files lie, and what a job is given before it trains."""

import json
import secrets
import shutil
from collections.abc import Iterable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from data.files import sync_folder, write_whole
from data.ledger import Ledger
from deployments.adoption import known_model
from deployments.job_training import JobFolder, Lesson
from deployments.line import suite_path_of
from deployments.pipeline import PipelineConfig
from deployments.requests import next_number
from deployments.settings import Settings
from service.ingestion.receiving import Received
from service.retraining.job_config import JobConfig

ABANDONED = timedelta(hours=1)
"""After this a folder that no job names was left by a request that was cut off."""


def jobs_folder(settings: Settings) -> Path:
    """Where all of them lie."""
    return settings.home / "retraining"


def folder_of(settings: Settings, job: JobConfig) -> JobFolder:
    """One job's."""
    return JobFolder(jobs_folder(settings) / job.folder)


def keep(settings: Settings, received: dict[str, Received]) -> str:
    """Take the files of a request into a folder of their own; returns its name."""
    name = secrets.token_hex(12)
    given = JobFolder(jobs_folder(settings) / name).given
    given.mkdir(parents=True)
    for part, file in received.items():
        file.path.replace(given / (f"data.{file.format}" if part == "file" else f"{part}{file.suffix}"))
    sync_folder(given)
    return name


def remove(folder: JobFolder) -> None:
    """Forget a job's files."""
    shutil.rmtree(folder.path, ignore_errors=True)


def sweep(settings: Settings, known: Iterable[str], now: datetime) -> None:
    """Remove what requests left that were cut off before there was a job."""
    kept = {*known, "lock"}
    for path in jobs_folder(settings).glob("*"):
        if path.name not in kept and path.stat().st_mtime < (now - ABANDONED).timestamp():
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def prepare(settings: Settings, ledger: Ledger, job: JobConfig, pipeline: Path) -> None:
    """Write a job's lesson; what an earlier attempt at another lesson left is removed."""
    folder, config = folder_of(settings, job), PipelineConfig.load(pipeline)
    declared: dict[str, Any] | None = ledger.schema(config.name)
    known = None
    if job.model is not None:
        known = known_model(ledger, settings.home / config.name, config.name, job.model.sha256)
    lesson = Lesson(
        config=config.model_dump(mode="json"),
        columns=None if declared is None or ledger.champion(config.name) is None else declared["columns"],
        name=job.file.name,
        format=job.format,
        sha256=job.file.sha256,
        number=next_number(ledger, config.name, job.file.sha256),
        model=None if job.model is None else f"model{Path(job.model.name.lower()).suffix}",
        origin=None if job.model is None else job.model.name,
        known=known is not None and not known.adopted,
    )
    path, text = folder.given / "lesson.json", lesson.model_dump_json().encode()
    if not path.exists() or path.read_bytes() != text:
        shutil.rmtree(folder.work, ignore_errors=True)
        _give_suite(suite_path_of(config.validation, pipeline), folder.given / "suite.json")
        write_whole(path, text)
    folder.work.mkdir(exist_ok=True)
    folder.progress.unlink(missing_ok=True)


def judged(folder: JobFolder) -> dict[str, Any] | None:
    """What came of judging the candidate; None where it has not ended."""
    try:
        return json.loads((folder.path / "judged.json").read_bytes())
    except FileNotFoundError:
        return None


def _give_suite(suite: Path, given: Path) -> None:
    given.unlink(missing_ok=True)
    if suite.is_file():
        write_whole(given, suite.read_bytes())
