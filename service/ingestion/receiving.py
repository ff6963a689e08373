"""A file that a client sends: streamed to disk, hashed on the way, and looked at before anything reads it whole."""

import asyncio
import errno
import hashlib
import os
import secrets
import zipfile
import zlib
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from fastapi import Request
from pyarrow import ArrowException
from starlette.datastructures import FormData, UploadFile

from data.readers import BadBatch, read_columns
from data.sources import SUFFIXES, Arrival, Format
from service.problems import Problem

PIECE = 2**20
LONGEST_NAME = 200
CONTENT = {"type": "string", "format": "binary"}


def body_of(**content: Any) -> dict[str, Any]:
    """How a route that reads its body itself says what it takes; content: by media type."""
    return {"requestBody": {"required": True, "content": content}}


def form_of(properties: Mapping[str, Any]) -> dict[str, Any]:
    """A form with a file and what else it may have."""
    schema = {"type": "object", "required": ["file"], "properties": dict(properties)}
    return {"multipart/form-data": {"schema": schema}}


FILE_CONTENT: dict[str, Any] = {
    **form_of({"file": CONTENT}),
    "application/octet-stream": {"schema": {**CONTENT, "minLength": 1}},
}
FILE_BODY = body_of(**FILE_CONTENT)
"""How a route that takes a file says so: as a form's part named file, or as the body itself beside ?name=."""


@dataclass(frozen=True)
class Received:
    """A file that came whole; it lies at a place of its own until somebody keeps it or removes it."""

    path: Path
    name: str
    sha256: str
    bytes: int

    @property
    def suffix(self) -> str:
        """The end of its name that says what it is."""
        return _suffix(self.name, (*SUFFIXES, Path(self.name.lower()).suffix)) or ""

    @property
    def format(self) -> Format:
        """What data it holds."""
        return SUFFIXES[self.suffix]


async def receive_file(request: Request, folder: Path, name: str | None) -> Received:
    """Write what the request brings into the folder, under a name that nobody reads.

    name: what a body that is no form is called. Raises Problem for a name that is none, and for nothing at all.
    """
    if not is_form(request):
        return await _write(request.stream(), folder, name, (*SUFFIXES,))
    async with request.form(max_files=1, max_fields=4) as form:
        return await receive_part(form, "file", folder, (*SUFFIXES,), name)


async def receive_text(text: bytes, folder: Path, name: str) -> Received:
    """Write what came in another form into the folder, as a file of this name would have been."""

    async def pieces() -> AsyncIterator[bytes]:
        yield text

    return await _write(pieces(), folder, name, (*SUFFIXES,))


async def receive_part(
    form: FormData, part: str, folder: Path, suffixes: Sequence[str], name: str | None = None
) -> Received:
    """Write a file of a form into the folder; its name, or the one that is given instead, ends in one of the suffixes.

    Raises Problem for another name, and where there is no such file.
    """
    sent = form.get(part)
    if not isinstance(sent, UploadFile):
        raise Problem(422, f"the form has no file: send it as the part {part!r}, such as curl -F {part}=@history.csv")
    return await _write(_pieces(sent), folder, name or sent.filename, suffixes)


def is_form(request: Request) -> bool:
    """Whether the request brings a form with files."""
    return request.headers.get("content-type", "").startswith("multipart/form-data")


def columns_of(received: Received, most_bytes: int) -> list[str]:
    """The file's columns; raises Problem where it is no table, or holds more than so many bytes once unpacked."""
    try:
        if received.format == "parquet":
            return _parquet_columns(received, most_bytes)
        if received.format == "npz":
            return _npz_arrays(received, most_bytes)
        head = _csv_head(received, most_bytes)
        return read_columns(Arrival(received.name, head, "csv"))
    except BadBatch as bad:
        raise Problem(422, f"{received.name}: {bad.reason}") from None
    except (OSError, EOFError, zlib.error, zipfile.BadZipFile, ArrowException):
        raise Problem(422, f"{received.name} is broken, or no {received.format} file; deliver it again") from None


def _parquet_columns(received: Received, most_bytes: int) -> list[str]:
    metadata = pq.read_metadata(received.path)
    unpacked = sum(metadata.row_group(i).total_byte_size for i in range(metadata.num_row_groups))
    _refuse_bomb(received, unpacked, most_bytes)
    return [name.strip() for name in metadata.schema.to_arrow_schema().names]


def _npz_arrays(received: Received, most_bytes: int) -> list[str]:
    with zipfile.ZipFile(received.path) as archive:
        _refuse_bomb(received, sum(member.file_size for member in archive.infolist()), most_bytes)
        return [name.removesuffix(".npy") for name in archive.namelist()]


def _csv_head(received: Received, most_bytes: int) -> bytes:
    """The first rows of the text, cut after a line; all of a compressed file is unpacked, but not kept."""
    with received.path.open("rb") as file:
        if received.format == "csv":
            return _whole_lines(file.read(PIECE))
        unpacker, head, unpacked = zlib.decompressobj(wbits=31), b"", 0
        while packed := unpacker.unconsumed_tail or unpacker.unused_data or file.read(PIECE):
            if unpacker.eof:
                unpacker = zlib.decompressobj(wbits=31)
            piece = unpacker.decompress(packed, PIECE)
            head, unpacked = head if len(head) >= PIECE else head + piece, unpacked + len(piece)
            _refuse_bomb(received, unpacked, most_bytes)
        if not unpacker.eof:
            raise EOFError
        return _whole_lines(head)


def _whole_lines(text: bytes) -> bytes:
    return text if len(text) < PIECE else text[: text.rfind(b"\n") + 1] or text


def _refuse_bomb(received: Received, unpacked: int, most_bytes: int) -> None:
    if unpacked > most_bytes:
        raise Problem(413, f"{received.name} holds more than the {most_bytes:,} bytes that are unpacked here")


async def _pieces(sent: UploadFile) -> AsyncIterator[bytes]:
    while piece := await sent.read(PIECE):
        yield piece


async def _write(pieces: AsyncIterator[bytes], folder: Path, name: str | None, suffixes: Sequence[str]) -> Received:
    plain = _checked_name(name, suffixes)
    folder.mkdir(parents=True, exist_ok=True)
    path, hasher, count = folder / f".{secrets.token_hex(8)}.part", hashlib.sha256(), 0
    try:
        with path.open("wb") as file:
            async for piece in pieces:
                file.write(piece)
                hasher.update(piece)
                count += len(piece)
            file.flush()
            await asyncio.to_thread(os.fsync, file.fileno())
        if count == 0:
            raise Problem(422, "the file is empty")
    except BaseException as error:
        path.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.errno == errno.ENOSPC:
            raise Problem(507, "there is no room left on the service's disk") from None
        raise
    return Received(path, plain, hasher.hexdigest(), count)


def _suffix(name: str, suffixes: Sequence[str]) -> str | None:
    return next((suffix for suffix in suffixes if suffix and name.lower().endswith(suffix)), None)


def _checked_name(name: str | None, suffixes: Sequence[str]) -> str:
    """A name is only ever shown; it names no place on this machine."""
    allowed = f"a plain file name ending in {', '.join(suffixes)}"
    if name is None or _suffix(name, suffixes) is None:
        raise Problem(422, f"name: the file needs {allowed}")
    plain = name.isprintable() and len(name) <= LONGEST_NAME and not name.startswith(".")
    if not plain or "/" in name or "\\" in name:
        raise Problem(422, f"name: it must be {allowed}")
    return name
