"""Routes: files to train on."""

from typing import Annotated

from fastapi import APIRouter, Request, Response
from fastapi import Path as InPath
from starlette.concurrency import run_in_threadpool

from service.core import Core, CoreOf
from service.ingestion.receiving import FILE_BODY, Received, columns_of, receive_file
from service.problems import Problem, documented
from service.security.access import needs
from service.training.sent_files import SentFile, files_folder, find, keep, remove

router = APIRouter(prefix="/api/v1/files", tags=["files"], dependencies=[needs("train")])
FileId = Annotated[str, InPath(pattern=r"^[0-9a-f]{64}$", examples=["9f" * 32])]


@router.post("", status_code=201, responses=documented(422), openapi_extra=FILE_BODY)
async def send_file(request: Request, core: CoreOf, name: str | None = None) -> SentFile:
    """Send a CSV (plain or gzip) or Parquet file: as the part `file` of a form, or as the body beside `?name=`.

    The same content again is the same file.
    """
    received = await receive_file(request, files_folder(core.settings.home), name)
    return await run_in_threadpool(_look_at_and_keep, core, received)


@router.get("/{file_id}", responses=documented(404, 422))
def describe_file(core: CoreOf, file_id: FileId) -> SentFile:
    """What is known of a file."""
    return existing_file(core, file_id)


@router.delete("/{file_id}", status_code=204, response_class=Response, responses=documented(404, 422))
def remove_file(core: CoreOf, file_id: FileId) -> None:
    """Remove a file; a training that has not read it yet will fail."""
    remove(core.settings.home, existing_file(core, file_id))


def existing_file(core: Core, file_id: str) -> SentFile:
    """What is known of a file; raises Problem 404 where it is not there."""
    sent = find(core.settings.home, file_id)
    if sent is None:
        raise Problem(404, f"there is no file {file_id[:12]}…: send it to /api/v1/files first")
    return sent


def _look_at_and_keep(core: Core, received: Received) -> SentFile:
    try:
        columns = columns_of(received, core.service.max_unpacked_bytes)
    except BaseException:
        received.path.unlink()
        raise
    sent = SentFile(
        file_id=received.sha256, name=received.name, format=received.format, bytes=received.bytes, columns=columns
    )
    keep(core.settings.home, sent, received.path)
    return sent
