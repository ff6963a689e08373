"""Routes: retraining jobs. A file comes, perhaps with a model; an updated model that passed the gate goes back."""

from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request
from fastapi import Path as InPath
from fastapi.responses import FileResponse, Response
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import FormData

from data.sources import SUFFIXES
from data.training_runs import TrainingRun
from deployments.sent_models import SUFFIXES as MODEL_SUFFIXES
from deployments.sent_models import as_weights, check_sent
from service.core import Core, CoreOf
from service.ingestion.receiving import CONTENT, Received, body_of, columns_of, form_of, is_form, receive_part
from service.problems import Problem, documented
from service.retraining import job_files
from service.retraining.job_config import JobConfig, JobFile
from service.retraining.job_request import Wanted, check_columns, read_wanted
from service.retraining.job_states import JOB, PREFIX, Job, JobList, job_of
from service.security.access import needs
from service.security.idempotency import IdempotencyKey, once

FIELDS: dict[str, Any] = {
    "file": {**CONTENT, "description": "CSV (plain or gzip) or Parquet"},
    "model": {**CONTENT, "description": "an .onnx file of lehr's, or .safetensors with its card; none: from scratch"},
    "card": {**CONTENT, "description": "JSON: the card of .safetensors that has none in its metadata"},
    "pipeline": {"type": "string", "examples": ["glass-line"]},
    "config": {
        "type": "string",
        "description": "instead of a pipeline's name: a pipeline file, as YAML or JSON",
        "examples": ["{name: press, task: regression, data: {target: force}}"],
    },
    "site": {
        "type": "string",
        "description": "whose file it is; each site has data, versions and a champion of its own",
        "examples": ["kostroma"],
    },
}
FORM = body_of(**form_of(FIELDS))
MODEL = {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}
PARTS = {"file": (*SUFFIXES,), "model": MODEL_SUFFIXES, "card": (".json",)}
MOST_FIELDS = 8

router = APIRouter(prefix="/api/v1/retraining/jobs", tags=["retraining"], dependencies=[needs("train")])
JobId = Annotated[str, InPath(max_length=200, examples=[JOB])]


@router.post("", status_code=202, responses=documented(404, 409, 422, 507), openapi_extra=FORM)
async def send_job(request: Request, core: CoreOf, idempotency_key: IdempotencyKey = None) -> Job:
    """Send a file to learn from, as a form; it is checked and trained on apart from all else, and then judged.

    Without a model a network is trained from scratch, with one that is fine-tuned. What passes the gate is in
    production in its pipeline from then on; what does not is refused with the reason.
    """
    if not is_form(request):
        raise Problem(422, "send a form, such as curl -F file=@history.csv -F pipeline=glass-line")
    folder = job_files.jobs_folder(core.settings)
    received: dict[str, Received] = {}
    try:
        async with request.form(max_files=len(PARTS), max_fields=MOST_FIELDS) as form:
            wanted = await run_in_threadpool(read_wanted, core, form)
            for part in _parts(form):
                received[part] = await receive_part(form, part, folder, PARTS[part])
        return await run_in_threadpool(_send, core, request, wanted, received, idempotency_key)
    finally:
        for file in received.values():
            file.path.unlink(missing_ok=True)


@router.get("", responses=documented(422))
def list_jobs(
    core: CoreOf,
    site: Annotated[str | None, Query(max_length=100, examples=["kostroma"])] = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> JobList:
    """Jobs, the newest first; of one site where one is named."""
    runs = [run for run in reversed(core.runs.runs()) if run.id.startswith(PREFIX)]
    chosen = [run for run in runs if site is None or run.config["site"] == site]
    return JobList(jobs=[_told(core, run) for run in chosen[:limit]])


@router.get("/{job_id}", responses=documented(404, 422))
def job(job_id: JobId, core: CoreOf) -> Job:
    """How far a job is: its stages with their times, its epochs, and why it ended as it did."""
    return _told(core, core.run_of(job_id, PREFIX, "job"))


@router.get(
    "/{job_id}/model",
    response_class=Response,
    responses={**documented(404, 409, 422), 200: {"description": "the model's file", "content": MODEL}},
)
def model(job_id: JobId, core: CoreOf, form: Literal["onnx", "safetensors"] = "onnx") -> Response:
    """The model, once it passed the gate: ONNX with all that learning needs to go on, or weights with their card."""
    told = _told(core, core.run_of(job_id, PREFIX, "job"))
    if told.stage != "registered":
        raise Problem(409, f"{job_id} is {told.stage} and has no model{f': {told.reason}' if told.reason else ''}")
    if not told.files_kept:
        raise Problem(409, f"{job_id} was removed; version {told.version} of {told.pipeline} stays registered")
    path = core.settings.home / told.pipeline / "versions" / str(told.version) / "model.onnx"
    if form == "onnx":
        return FileResponse(path, media_type="application/octet-stream", filename=f"{job_id}.onnx")
    headers = {"Content-Disposition": f'attachment; filename="{job_id}.safetensors"'}
    return Response(as_weights(path.read_bytes()), media_type="application/octet-stream", headers=headers)


@router.delete("/{job_id}", status_code=204, response_class=Response, responses=documented(404, 422))
def remove_job(job_id: JobId, core: CoreOf) -> None:
    """End a job that is not judged yet, and remove its files; what was registered, and the record of it, stay."""
    run = core.run_of(job_id, PREFIX, "job")
    if not run.finished:
        try:
            core.runs.desire(job_id, "cancel")
        except ValueError:  # it has ended in between
            run = core.runs.get(job_id)
        core.jobs.nudge()
    if run.finished:
        job_files.remove(job_files.folder_of(core.settings, JobConfig.model_validate(run.config)))


def _parts(form: FormData) -> list[str]:
    """The files that came; the first must be there, which `receive_part` says."""
    strange = [name for name in form if name not in FIELDS]
    if strange:
        raise Problem(422, f"{strange[0][:100]!r} is no part of the form; its parts are {', '.join(PARTS)}, and fields")
    return [part for part in PARTS if part == "file" or part in form]


def _send(
    core: Core, request: Request, wanted: Wanted, received: dict[str, Received], idempotency_key: str | None
) -> Job:
    file = received["file"]
    check_columns(core, wanted.config, columns_of(file, core.service.max_unpacked_bytes))
    _check_model(core, received)
    hashes = [f"{part} {sent.sha256}" for part, sent in received.items()]
    content = "\n".join([*hashes, wanted.config.model_dump_json(), str(wanted.site)])
    do = partial(_create, core, wanted, received)
    return once(core.settings.home, request, idempotency_key, content, do, Job)


def _check_model(core: Core, received: dict[str, Received]) -> None:
    sent, card = received.get("model"), received.get("card")
    if sent is None:
        if card is not None:
            raise Problem(422, "card: it describes a model, and none came")
        return
    if sent.bytes > core.service.max_model_bytes:
        raise Problem(413, f"model: it is larger than the {core.service.max_model_bytes:,} bytes allowed here")
    try:
        check_sent(sent.path, sent.suffix, card.path.read_bytes() if card else None)
    except ValueError as error:
        raise Problem(422, f"model: {error}") from None


def _create(core: Core, wanted: Wanted, received: dict[str, Received]) -> Job:
    file, sent = received["file"], received.get("model")
    config = JobConfig(
        folder=job_files.keep(core.settings, received),
        pipeline=wanted.config.name,
        base=wanted.base,
        site=wanted.site,
        document=wanted.document,
        file=_described(file),
        format=file.format,
        model=None if sent is None else _described(sent),
    )
    run = core.runs.create(file.name, config.model_dump(mode="json"), PREFIX)
    core.jobs.nudge()
    return _told(core, run)


def _described(file: Received) -> JobFile:
    return JobFile(name=file.name, sha256=file.sha256, bytes=file.bytes)


def _told(core: Core, run: TrainingRun) -> Job:
    folder: Path = job_files.folder_of(core.settings, JobConfig.model_validate(run.config)).path
    return job_of(run, core.runs.events(run.id), folder.is_dir())
