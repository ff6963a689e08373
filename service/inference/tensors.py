"""Tensors on the wire, as the Open Inference Protocol has them: in JSON, or as bytes behind a JSON head.

Shapes: B samples, L window length, C features, K classes.
"""

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from deployments.scoring import INPUT, OUTPUT

LABEL = "label"
BINARY = "application/octet-stream"
HEAD_LENGTH = "Inference-Header-Content-Length"


class _Wire(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Tensor(_Wire):
    """One input; data: nested or flat, in order of rows, unless bytes follow the head."""

    name: str = Field(examples=[INPUT])
    datatype: str = Field(examples=["FP32"])
    shape: list[int] = Field(examples=[[1, 2]])
    data: list[Any] | None = Field(default=None, examples=[[930.0, 66.0]])
    parameters: dict[str, Any] = {}


class WantedOutput(_Wire):
    """An output to be answered; its parameter binary_data: as bytes."""

    name: str = Field(examples=[OUTPUT])
    parameters: dict[str, Any] = {}


class InferRequest(_Wire):
    """A request for predictions.

    parameters: allow_missing lets NaN stand for a missing reading; binary_data_output asks for bytes.
    """

    id: str | None = Field(default=None, max_length=200)
    parameters: dict[str, Any] = {}
    inputs: list[Tensor] = Field(min_length=1, max_length=16)
    outputs: list[WantedOutput] | None = Field(default=None, max_length=16)


class Output(_Wire):
    """One output; without data it follows the head as bytes."""

    name: str = Field(examples=[OUTPUT])
    datatype: str = Field(examples=["FP32"])
    shape: list[int] = Field(examples=[[1, 2]])
    data: list[Any] | None = Field(default=None, examples=[[0.02, 0.98]])
    parameters: dict[str, Any] | None = None


class InferResponse(_Wire):
    """An answer: by which version, and with which receipts.

    parameters: receipt_id is the first sample's, for `lehr explain`; the others count on from it.
    """

    model_name: str = Field(examples=["glass-line"])
    model_version: str = Field(examples=["7"])
    id: str | None = None
    parameters: dict[str, Any] = Field(examples=[{"receipt_id": "0123456789abcdef0123-1"}])
    outputs: list[Output]


@dataclass(frozen=True)
class Asked:
    """A checked request: readings (B, C) or (B, L, C), which outputs are wanted, and which of them as bytes."""

    id: str | None
    inputs: NDArray[np.float32]
    wanted: Mapping[str, bool]


def parse_request(body: bytes, head_length: str | None, features: int, windowed: bool, outputs: Sequence[str]) -> Asked:
    """Check a request against a model; raises ValueError that says what is expected."""
    request, rest = read_request(body, head_length)
    if [tensor.name for tensor in request.inputs] != [INPUT]:
        raise ValueError(f"inputs: expected one tensor named {INPUT!r}, got {[t.name for t in request.inputs]!r:.200}")
    inputs = _readings(request.inputs[0], rest, features, windowed)
    finite = np.isfinite(inputs)
    if request.parameters.get("allow_missing") is True:
        finite |= np.isnan(inputs)
    if not finite.all():
        place = [int(i) for i in np.argwhere(~finite)[0]]
        said = "; with the parameter allow_missing NaN stands for a missing reading"
        raise ValueError(f"inputs: expected finite numbers in float32, got {inputs[tuple(place)]} at {place}{said}")
    return Asked(request.id, inputs, wanted_of(request, outputs))


def read_request(body: bytes, head_length: str | None) -> tuple[InferRequest, bytes]:
    """A request's head, and the bytes behind it; raises ValueError that says what is expected."""
    head, rest = _split(body, head_length)
    try:
        return InferRequest.model_validate(orjson.loads(head)), rest
    except orjson.JSONDecodeError as error:
        raise ValueError(f"the request is not JSON: {error}") from None
    except ValidationError as error:
        first = error.errors(include_input=False)[0]
        raise ValueError(f"{'.'.join(map(str, first['loc'])) or 'the request'}: {first['msg'].lower()}") from None


def encode_response(
    answer: Mapping[str, Any], wanted: Mapping[str, bool], arrays: Mapping[str, Any]
) -> tuple[bytes, int]:
    """The answer's body, and the length of its head where bytes follow it (else 0).

    answer: the fields of an `InferResponse` besides its outputs.
    """
    outputs: list[dict[str, Any]] = []
    tail: list[bytes] = []
    for name, as_bytes in wanted.items():
        array = arrays[name]
        output: dict[str, Any] = {"name": name, "datatype": "BYTES" if name == LABEL else "FP32"}
        output["shape"] = [len(array)] if name == LABEL else list(array.shape)
        if as_bytes:
            tail.append(_as_bytes(array))
            output["parameters"] = {"binary_data_size": len(tail[-1])}
        else:
            output["data"] = list(array) if name == LABEL else array.ravel()
        outputs.append(output)
    head = orjson.dumps({**answer, "outputs": outputs}, option=orjson.OPT_SERIALIZE_NUMPY)
    return b"".join([head, *tail]), len(head) if tail else 0


def _split(body: bytes, head_length: str | None) -> tuple[bytes, bytes]:
    if head_length is None:
        return body, b""
    if not head_length.isdecimal() or int(head_length) > len(body):
        raise ValueError(f"{HEAD_LENGTH}: expected at most the body's {len(body)} bytes, got {head_length!r:.50}")
    return body[: int(head_length)], body[int(head_length) :]


def _readings(tensor: Tensor, rest: bytes, features: int, windowed: bool) -> NDArray[np.float32]:
    expected = f"FP32 of shape [samples, {'length, ' * windowed}{features}]"
    fits = len(tensor.shape) == 2 + windowed and tensor.shape[-1] == features and all(n >= 1 for n in tensor.shape)
    if tensor.datatype != "FP32" or not fits:
        raise ValueError(f"{INPUT}: expected {expected}, got {tensor.datatype:.50} of shape {tensor.shape!r:.200}")
    size = tensor.parameters.get("binary_data_size")
    flat = _from_json(tensor, rest) if size is None else _from_bytes(tensor, size, rest)
    if flat.size != prod(tensor.shape):
        raise ValueError(
            f"{INPUT}: expected {prod(tensor.shape)} numbers for the shape {tensor.shape}, got {flat.size}"
        )
    return flat.reshape(tensor.shape)


def _from_json(tensor: Tensor, rest: bytes) -> NDArray[np.float32]:
    if rest or tensor.data is None:
        raise ValueError(f"{INPUT}: expected data, or binary_data_size and as many bytes behind the head")
    try:
        given = np.array(tensor.data)
    except ValueError:
        raise ValueError(f"{INPUT}: expected data of the shape {tensor.shape}, got lists of unequal length") from None
    if given.dtype.kind not in "fiu":
        raise ValueError(f"{INPUT}: expected numbers, got {_odd_one(tensor.data)!r:.50}")
    with np.errstate(over="ignore"):
        return given.astype(np.float32).ravel()


def _from_bytes(tensor: Tensor, size: Any, rest: bytes) -> NDArray[np.float32]:
    if size != len(rest) or len(rest) % 4 or isinstance(size, bool) or tensor.data is not None:
        raise ValueError(
            f"{INPUT}: expected binary_data_size to be the {len(rest)} bytes behind the head, got {size!r:.50}"
        )
    return np.frombuffer(rest, "<f4").astype(np.float32, copy=False)


def _odd_one(data: Any) -> Any:
    """The first element that is no number."""
    while isinstance(data, list):
        odd = [e for e in data if isinstance(e, bool) or not isinstance(e, int | float)]
        data = odd[0] if odd else "a number beyond 64 bits"
    return data


def wanted_of(request: InferRequest, outputs: Sequence[str]) -> dict[str, bool]:
    """The outputs that are asked for, and whether as bytes; raises ValueError for one that the model does not have."""
    by_default = request.parameters.get("binary_data_output") is True
    if request.outputs is None:
        return dict.fromkeys(outputs, by_default)
    unknown = [output.name for output in request.outputs if output.name not in outputs]
    if unknown:
        raise ValueError(f"outputs: expected {' or '.join(outputs)}, got {unknown[0]!r:.50}")
    return {output.name: output.parameters.get("binary_data", by_default) is True for output in request.outputs}


def _as_bytes(array: Any) -> bytes:
    if isinstance(array, np.ndarray):
        return array.astype("<f4").tobytes()
    texts = [text.encode() for text in array]
    return b"".join(struct.pack("<I", len(text)) + text for text in texts)
