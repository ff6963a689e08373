"""What is told of a retraining job: its stages, from what the ledger keeps."""

from collections.abc import Sequence
from datetime import datetime
from typing import Literal

from pydantic import BaseModel, Field

from data.training_runs import TrainingEvent, TrainingRun
from service.retraining.job_config import JobConfig, JobFile
from service.training.progress import EpochRecord

PREFIX = "retraining"
JOB = "retraining_20260101_120000"
StageName = Literal["received", "validating", "training", "judging", "registered", "refused", "failed", "cancelled"]


class Stage(BaseModel):
    """Something that a job has come to; reason: why, where it is over."""

    stage: StageName = Field(examples=["training"])
    at: datetime
    reason: str | None = None


class JobProgress(BaseModel):
    """The epochs of a job's training so far."""

    current_epoch: int = Field(examples=[12])
    total_epochs: int = Field(examples=[100])
    latest_metrics: EpochRecord


class Job(BaseModel):
    """A retraining job, and how far it is."""

    job_id: str = Field(examples=[JOB])
    pipeline: str = Field(examples=["glass-line--kostroma"], description="that learns, and has what comes of it")
    site: str | None = Field(examples=["kostroma"])
    file: JobFile
    model: JobFile | None = Field(description="that it goes on from; null: from fresh weights")
    stage: StageName = Field(examples=["training"])
    stages: list[Stage]
    reason: str | None = Field(description="why it was refused, has failed, or was cancelled")
    progress: JobProgress | None = None
    version: int | None = Field(default=None, examples=[3], description="of the pipeline, once there is one")
    isolation: str | None = Field(default=None, examples=["bwrap"], description="what its training is kept in")
    notes: list[str] = Field(default=[], description="what validation and training have to say besides")
    rows: int | None = Field(default=None, examples=[600], description="that were sound")
    rows_quarantined: int | None = Field(default=None, examples=[0])
    files_kept: bool = Field(description="whether the files that were sent are still here")


class JobList(BaseModel):
    """Retraining jobs, the newest first."""

    jobs: list[Job]


def job_of(run: TrainingRun, events: Sequence[TrainingEvent], files_kept: bool) -> Job:
    """A job as it is told."""
    config = JobConfig.model_validate(run.config)
    stages = _stages(run, events)
    told = {event.kind: event.payload for event in events if event.kind in ("isolation", "outcome", "version")}
    outcome = told.get("outcome", {})
    return Job(
        job_id=run.id,
        pipeline=config.pipeline,
        site=config.site,
        file=config.file,
        model=config.model,
        stage=stages[-1].stage,
        stages=stages,
        reason=stages[-1].reason,
        progress=_progress(events),
        version=told.get("version", {}).get("version"),
        isolation=told.get("isolation", {}).get("by"),
        notes=outcome.get("notes", []),
        rows=outcome.get("rows"),
        rows_quarantined=outcome.get("rows_quarantined"),
        files_kept=files_kept,
    )


def is_stage(event: TrainingEvent, stage: str) -> bool:
    """Whether the event says that the job has come to this stage."""
    return event.kind == "stage" and event.payload["stage"] == stage


def _stages(run: TrainingRun, events: Sequence[TrainingEvent]) -> list[Stage]:
    found = [Stage(stage="received", at=run.created_at)]
    for event in events:
        if event.kind == "stage":
            found.append(Stage(**event.payload, at=event.at))
        elif event.kind == "state" and event.payload["state"] in ("failed", "cancelled"):
            found.append(Stage(stage=event.payload["state"], at=event.at, reason=event.payload["reason"]))
    return found


def _progress(events: Sequence[TrainingEvent]) -> JobProgress | None:
    epochs = [event.payload for event in events if event.kind == "epoch"]
    if not epochs:
        return None
    latest = EpochRecord(**epochs[-1]["metrics"])
    return JobProgress(current_epoch=latest.epoch, total_epochs=epochs[-1]["total_epochs"], latest_metrics=latest)
