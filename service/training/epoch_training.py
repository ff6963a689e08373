"""Routes: training a network epoch by epoch, and following and steering it meanwhile."""

from collections.abc import AsyncIterator
from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Header, Query, Request
from fastapi import Path as InPath
from fastapi.responses import FileResponse, Response, StreamingResponse
from fastapi.sse import KEEPALIVE_COMMENT
from pydantic import BaseModel, Field
from starlette.concurrency import run_in_threadpool

from data.training_runs import TrainingRun
from service.core import Core, CoreOf
from service.pipelines import rows_config_of
from service.problems import Problem, documented
from service.security.access import needs
from service.security.idempotency import IdempotencyKey, once
from service.training.epoch_config import EpochTraining, FileSource, config_for_stored, output_file
from service.training.files import existing_file
from service.training.progress import EpochRecord, Progress, history_of, progress_of
from service.training.training_process import PREFIX, model_of

IDLE_SECONDS = 15.0
TASK = "epoch_training_20240101_120000"
EVENT = {
    "text/event-stream": {
        "schema": {
            "type": "object",
            "description": "one event; its data are JSON",
            "properties": {"id": {"type": "string"}, "event": {"type": "string"}, "data": {"type": "string"}},
            "examples": [{"id": "3", "data": '{"type": "progress", "progress": {"current_epoch": 1}}'}],
        }
    }
}
ONNX = {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}

router = APIRouter(prefix="/api/v1/epoch-training", tags=["epoch training"], dependencies=[needs("train")])
TaskId = Annotated[str, InPath(max_length=200, examples=[TASK])]


class Done(BaseModel):
    """Something was asked of a training."""

    success: Literal[True] = True
    task_id: str = Field(examples=[TASK])
    message: str
    training_state: str = Field(description="what it is doing at this moment", examples=["running"])


class Started(Done):
    """A training was started."""

    config: EpochTraining


class TaskProgress(BaseModel):
    """How far a training is."""

    success: Literal[True] = True
    task_id: str = Field(examples=[TASK])
    progress: Progress


class TaskHistory(BaseModel):
    """Every epoch of a training so far."""

    success: Literal[True] = True
    task_id: str = Field(examples=[TASK])
    history: list[EpochRecord]


class Task(BaseModel):
    """A training among others; its events tell how far it is."""

    task_id: str = Field(examples=[TASK])
    name: str = Field(examples=["defects of line 3"])
    training_state: str = Field(examples=["running"])
    desired: str = Field(examples=["run"], description="what was asked of it last: run, pause, cancel")
    reason: str | None = None
    total_epochs: int = Field(examples=[100])
    created: datetime


class Tasks(BaseModel):
    """Trainings, the newest first."""

    tasks: list[Task]


@router.get("/tasks", responses=documented(422))
def tasks(core: CoreOf, limit: Annotated[int, Query(ge=1, le=1000)] = 20) -> Tasks:
    """The latest trainings."""
    return Tasks(tasks=[_task(run) for run in core.runs.latest(PREFIX, limit)])


@router.post("/start", responses=documented(404, 422))
def start(asked: EpochTraining, request: Request, core: CoreOf, idempotency_key: IdempotencyKey = None) -> Started:
    """Start a training; it goes on in a process of its own, also after a restart of the service."""

    def create() -> Started:
        config = {"request": asked.model_dump(mode="json"), "pipeline": _check(core, asked)}
        run = core.runs.create(asked.name, config, PREFIX)
        core.trainings.nudge()
        said = f"training started: {asked.name}"
        return Started(task_id=run.id, message=said, config=asked, training_state=run.state)

    return once(core.settings.home, request, idempotency_key, asked.model_dump_json(), create, Started)


@router.get("/progress/{task_id}", responses=documented(404, 422))
def progress(task_id: TaskId, core: CoreOf) -> TaskProgress:
    """How far the training is, with its latest and its best epoch."""
    run = core.run_of(task_id, PREFIX, "training")
    return TaskProgress(task_id=task_id, progress=progress_of(run, core.runs.events(task_id)))


@router.get(
    "/stream-progress/{task_id}",
    response_class=StreamingResponse,
    responses={
        **documented(404, 422),
        200: {"description": "events until the training is over", "content": EVENT},
        204: {"description": "all events came already"},
    },
)
async def stream_progress(
    task_id: TaskId, core: CoreOf, last_event_id: Annotated[int, Header(ge=0, le=2**53)] = 0
) -> Response:
    """Each epoch as it ends, as server-sent events: `progress`, then `complete` or `error`.

    `Last-Event-ID` goes on after the event with that id.
    """
    run = await run_in_threadpool(core.run_of, task_id, PREFIX, "training")
    events = await run_in_threadpool(core.runs.events, task_id, last_event_id)
    if run.finished and not events:
        return Response(status_code=204)
    events_after = _stream(core, task_id, last_event_id)
    return StreamingResponse(events_after, media_type="text/event-stream", headers={"Cache-Control": "no-cache"})


@router.get("/history/{task_id}", responses=documented(404, 422))
def history(task_id: TaskId, core: CoreOf) -> TaskHistory:
    """Every epoch of the training so far."""
    core.run_of(task_id, PREFIX, "training")
    return TaskHistory(task_id=task_id, history=history_of(core.runs.events(task_id)))


@router.post("/pause/{task_id}", responses=documented(404, 409, 422))
def pause(task_id: TaskId, core: CoreOf) -> Done:
    """Pause the training before its next batch; it stays paused, also over a restart, until it is resumed."""
    return _ask(core, task_id, "pause", "the training pauses before its next batch")


@router.post("/resume/{task_id}", responses=documented(404, 409, 422))
def resume(task_id: TaskId, core: CoreOf) -> Done:
    """Let a paused training go on from where it stands."""
    return _ask(core, task_id, "run", "the training goes on")


@router.post("/cancel/{task_id}", responses=documented(404, 409, 422))
def cancel(task_id: TaskId, core: CoreOf) -> Done:
    """End the training before its next batch, for good and without a model."""
    return _ask(core, task_id, "cancel", "the training ends before its next batch")


@router.get(
    "/model/{task_id}",
    response_class=FileResponse,
    responses={**documented(404, 409, 422), 200: {"description": "the ONNX file", "content": ONNX}},
)
def model(task_id: TaskId, core: CoreOf) -> FileResponse:
    """The trained network: readings in, its normaliser inside, with all that learning needs to go on from it."""
    run = core.run_of(task_id, PREFIX, "training")
    if run.state != "completed":
        raise Problem(409, f"{task_id} is {run.state}: it has no model{' yet' * (not run.finished)}")
    return FileResponse(
        model_of(core.settings, task_id), media_type="application/octet-stream", filename=f"{task_id}.onnx"
    )


def _task(run: TrainingRun) -> Task:
    return Task(
        task_id=run.id,
        name=run.name,
        training_state=run.state,
        desired=run.desired,
        reason=run.reason,
        total_epochs=run.config["request"]["epochs"],
        created=run.created_at,
    )


def _check(core: Core, asked: EpochTraining) -> dict[str, Any] | None:
    """The pipeline's configuration where one is learned from; raises Problem where the request cannot be done."""
    try:
        output_file(core.settings.home / "exports", asked.output_path, "task")
        if isinstance(asked.data_source, FileSource):
            _check_columns(asked, existing_file(core, asked.data_source.file_id).columns)
            return None
        pipeline = rows_config_of(core, asked.data_source.pipeline)
        config = config_for_stored(asked, pipeline)
        kept: dict[str, Any] | None = core.ledger.schema(pipeline.name)
        if kept is None:
            raise Problem(409, f"nothing is stored of the pipeline {pipeline.name} yet")
        _check_columns(asked, kept["features"] + [kept["target"]])
        return config.model_dump(mode="json")
    except ValueError as error:
        raise Problem(422, str(error)) from None


def _check_columns(asked: EpochTraining, columns: list[str]) -> None:
    for i, column in enumerate([*asked.feature_columns, asked.target_column]):
        if column not in columns:
            where = "target_column" if i == len(asked.feature_columns) else f"feature_columns[{i}]"
            raise ValueError(f"{where}: there is no column {column!r}; the columns are {', '.join(columns)}"[:500])


def _ask(core: Core, task_id: str, desired: str, message: str) -> Done:
    core.run_of(task_id, PREFIX, "training")
    try:
        core.runs.desire(task_id, desired)
    except ValueError as error:
        raise Problem(409, str(error)) from None
    core.trainings.nudge()
    return Done(task_id=task_id, message=message, training_state=core.runs.get(task_id).state)


async def _stream(core: Core, task_id: str, after: int) -> AsyncIterator[bytes]:
    async for event in core.feed.follow(task_id, after, IDLE_SECONDS):
        yield KEEPALIVE_COMMENT if event is None else event.wire
        if event is not None and event.last:
            return
