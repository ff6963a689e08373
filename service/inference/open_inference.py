"""Routes: predictions by the Open Inference Protocol, version 2."""

from dataclasses import dataclass
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Request
from fastapi import Path as InPath
from fastapi.responses import Response
from pydantic import BaseModel, Field
from starlette.concurrency import run_in_threadpool

from deployments.scoring import INPUT, OUTPUT
from service.core import Core, CoreOf
from service.inference.batching import TooBusyError
from service.inference.recording import AnsweredRows
from service.inference.served import AnyServed
from service.inference.signals import ServedSignals, encode_represented, represent_request
from service.inference.tensors import (
    BINARY,
    HEAD_LENGTH,
    LABEL,
    InferRequest,
    InferResponse,
    encode_response,
    parse_request,
)
from service.problems import Problem, documented
from service.security.access import needs
from service.security.tokens import Role

ROLE: Role = "predict"
router = APIRouter(prefix="/v2", tags=["inference"], dependencies=[needs(ROLE)])
Name = Annotated[str, InPath(max_length=100, examples=["glass-line"])]
Number = Annotated[int, InPath(ge=1, le=2**31 - 1, examples=[7])]
INFER: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {"schema": {"$ref": "#/components/schemas/InferRequest"}},
            BINARY: {"schema": {"type": "string", "format": "binary"}},
        },
    }
}
ANSWER: dict[int | str, dict[str, Any]] = {
    200: {
        "description": f"predictions; in {BINARY} the first {HEAD_LENGTH} bytes are JSON",
        "model": InferResponse,
        "content": {BINARY: {"schema": {"type": "string", "format": "binary"}}},
    }
}


class Server(BaseModel):
    """What speaks."""

    name: Literal["lehr"] = "lehr"
    version: str = "1"
    extensions: list[str] = ["binary_tensor_data"]


class Ready(BaseModel):
    """It can be asked for predictions."""

    name: str = Field(examples=["glass-line"])
    ready: Literal[True] = True


class TensorMetadata(BaseModel):
    """A tensor's form; −1: any number."""

    name: str = Field(examples=[INPUT])
    datatype: str = Field(examples=["FP32"])
    shape: list[int] = Field(examples=[[-1, 20]])


class ModelMetadata(BaseModel):
    """What a model takes and answers; features: its columns in order; classes: what the probabilities are of."""

    name: str = Field(examples=["glass-line"])
    versions: list[str] = Field(examples=[["1", "7"]])
    platform: Literal["onnx_onnxruntime"] = "onnx_onnxruntime"
    inputs: list[TensorMetadata]
    outputs: list[TensorMetadata]
    parameters: dict[str, Any] = Field(examples=[{"version": "7", "features": ["furnace_1_c"], "classes": ["ok"]}])


@router.get("", responses=documented())
async def server() -> Server:
    """What this server is, and which extensions of the protocol it speaks."""
    return Server()


@router.get("/models/{name}/ready", responses=documented(404, 422))
async def is_ready(name: Name, core: CoreOf) -> Ready:
    """Whether the pipeline has a version in production that can be asked."""
    await served(core, name)
    return Ready(name=name)


@router.get("/models/{name}/versions/{version}/ready", responses=documented(404, 422))
async def is_version_ready(name: Name, version: Number, core: CoreOf) -> Ready:
    """Whether this version can be asked."""
    await served(core, name, version)
    return Ready(name=name)


@router.get("/models/{name}", responses=documented(404, 422))
async def metadata(name: Name, core: CoreOf) -> ModelMetadata:
    """What the version in production takes and answers."""
    return await _metadata(core, await served(core, name))


@router.get("/models/{name}/versions/{version}", responses=documented(404, 422))
async def version_metadata(name: Name, version: Number, core: CoreOf) -> ModelMetadata:
    """What this version takes and answers."""
    return await _metadata(core, await served(core, name, version))


@router.post("/models/{name}/infer", responses={**documented(404, 415, 422, 503), **ANSWER}, openapi_extra=INFER)
async def infer(name: Name, request: Request, core: CoreOf) -> Response:
    """Predict with the version in production; the answer names it, and the receipt of each sample."""
    return await _respond(core, name, None, request)


@router.post(
    "/models/{name}/versions/{version}/infer",
    responses={**documented(404, 415, 422, 503), **ANSWER},
    openapi_extra=INFER,
)
async def infer_with_version(name: Name, version: Number, request: Request, core: CoreOf) -> Response:
    """Predict with this version, whether it is in production or not."""
    return await _respond(core, name, version, request)


async def served(core: Core, name: str, version: int | None = None) -> AnyServed:
    """A version in memory; raises Problem 404 where there is none."""
    try:
        found = await (core.versions.champion(name) if version is None else core.versions.version(name, version))
    except ValueError as error:
        raise Problem(404, f"version {version} of {name} cannot be opened: {error}") from None
    if found is None:
        raise Problem(
            404, f"there is no {'version in production' if version is None else f'version {version}'} of {name}"
        )
    return found


@dataclass(frozen=True)
class Asking:
    """A request for predictions as it came; head_length: of the JSON before bytes, where there are any."""

    body: bytes
    encoding: str
    head_length: str | None


@dataclass(frozen=True)
class Answered:
    """An answer as it goes out; head_bytes: of the JSON before bytes; 0: all of it is JSON."""

    content: bytes
    head_bytes: int


async def answer(core: Core, name: str, number: int | None, asking: Asking) -> Answered:
    """Predict what a request brings, by a version or the one in production; raises Problem for what cannot be."""
    version = await served(core, name, number)
    if asking.encoding != "identity":
        raise Problem(415, "compressed requests are not read here; send the tensors as they are")
    if isinstance(version, ServedSignals):
        represented = await represent_request(version, asking.body, asking.head_length)
        answered = represented.answered
        core.counters.predicted(version.name, version.version, len(answered))
        receipt, written = core.recorder.note(version, answered)
        if core.service.receipts_first:
            await written
        return Answered(*encode_represented(version, represented, receipt))
    model = version.model
    try:
        asked = parse_request(asking.body, asking.head_length, model.features, model.windowed, version.outputs)
    except ValueError as error:
        raise Problem(400, str(error)) from None
    try:
        outputs = await version.batcher.infer(asked.inputs)
    except TooBusyError:
        raise Problem(503, "too many samples wait to be predicted", {"Retry-After": "1"}) from None
    core.counters.predicted(version.name, version.version, len(outputs))
    receipt, written = core.recorder.note(version, AnsweredRows(asked.inputs, outputs))
    if core.service.receipts_first:
        await written
    head: dict[str, Any] = {"model_name": version.name, "model_version": str(version.version)}
    if asked.id is not None:
        head["id"] = asked.id
    head["parameters"] = {"receipt_id": receipt}
    arrays = {OUTPUT: outputs, LABEL: version.labels(outputs) if LABEL in asked.wanted else []}
    return Answered(*encode_response(head, asked.wanted, arrays))


async def _respond(core: Core, name: str, number: int | None, request: Request) -> Response:
    """As `service.inference.straight` answers, where that let a request pass."""
    fields = request.headers
    asking = Asking(await request.body(), fields.get("content-encoding", "identity"), fields.get(HEAD_LENGTH))
    answered = await answer(core, name, number, asking)
    if not answered.head_bytes:
        return Response(answered.content, media_type="application/json")
    return Response(answered.content, media_type=BINARY, headers={HEAD_LENGTH: str(answered.head_bytes)})


async def _metadata(core: Core, version: AnyServed) -> ModelMetadata:
    versions = await run_in_threadpool(core.ledger.versions, version.name)
    numbers = [str(entry.version) for entry in versions]
    if isinstance(version, ServedSignals):
        inputs, outputs = (
            [TensorMetadata(name=name, datatype=kind, shape=shape) for name, (kind, shape) in ports.items()]
            for ports in version.shapes()
        )
        told = {"version": str(version.version), "keypoints": list(version.model.keypoints)}
        return ModelMetadata(name=version.name, versions=numbers, inputs=inputs, outputs=outputs, parameters=told)
    windowed, classes = version.model.windowed, version.classes
    shape = [-1, -1, version.model.features] if windowed else [-1, version.model.features]
    outputs = [TensorMetadata(name=OUTPUT, datatype="FP32", shape=[-1] if classes is None else [-1, len(classes)])]
    if classes is not None:
        outputs.append(TensorMetadata(name=LABEL, datatype="BYTES", shape=[-1]))
    columns = {"features": version.features, "target": version.target, "window_length": version.window_length}
    return ModelMetadata(
        name=version.name,
        versions=numbers,
        inputs=[TensorMetadata(name=INPUT, datatype="FP32", shape=shape)],
        outputs=outputs,
        parameters={"version": str(version.version), **columns, "classes": classes},
    )


REQUEST_MODELS = (InferRequest,)
"""Schemas that the routes refer to by name, as they read their bodies themselves."""
