"""Signals on the wire, as the Open Inference Protocol has them.

Shapes: B signals, C channels, T samples of the longest signal.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deployments.signal_export import INPUTS
from service.inference.tensors import InferRequest, Tensor, read_request, wanted_of

SIGNALS, LENGTHS = INPUTS
_TYPES = {"FP32": np.dtype("<f4"), "INT64": np.dtype("<i8")}


@dataclass(frozen=True)
class AskedSignals:
    """A checked request: signals (B, C, T) with their lengths, which outputs are wanted, and which of them as bytes."""

    id: str | None
    signals_BCT: NDArray[np.float32]
    lengths_B: NDArray[np.int64]
    wanted: Mapping[str, bool]


def parse_signals(body: bytes, head_length: str | None, channels: int, outputs: Sequence[str]) -> AskedSignals:
    """Check a request against a model: `signals`, and `lengths` where they are padded.

    Raises ValueError that says what is expected.
    """
    request, rest = read_request(body, head_length)
    names = [tensor.name for tensor in request.inputs]
    if names not in ([SIGNALS], [SIGNALS, LENGTHS]):
        raise ValueError(f"inputs: expected {SIGNALS!r} and perhaps {LENGTHS!r}, got {names!r:.200}")
    parts = dict(zip(names, _bytes_of(request, rest), strict=True))
    tensors = dict(zip(names, request.inputs, strict=True))
    signals_BCT = _numbers(tensors[SIGNALS], parts[SIGNALS], "FP32", (-1, channels, -1))
    count, _, longest = signals_BCT.shape
    if not np.isfinite(signals_BCT).all():
        place = [int(i) for i in np.argwhere(~np.isfinite(signals_BCT))[0]]
        raise ValueError(f"{SIGNALS}: expected finite numbers in float32, got {signals_BCT[tuple(place)]} at {place}")
    if LENGTHS not in tensors:
        lengths_B = np.full(count, longest, np.int64)
    else:
        lengths_B = _numbers(tensors[LENGTHS], parts[LENGTHS], "INT64", (count,))
    if lengths_B.min() < 1 or lengths_B.max() > longest:
        raise ValueError(f"{LENGTHS}: expected 1 to {longest} samples, got {lengths_B.min()} to {lengths_B.max()}")
    return AskedSignals(request.id, signals_BCT, lengths_B, wanted_of(request, outputs))


def _bytes_of(request: InferRequest, rest: bytes) -> list[bytes | None]:
    """Behind the head lie the tensors that say how many bytes they are, one after another."""
    found: list[bytes | None] = []
    for tensor in request.inputs:
        size = tensor.parameters.get("binary_data_size")
        if size is None:
            found.append(None)
            continue
        if isinstance(size, bool) or not isinstance(size, int) or not 0 <= size <= len(rest):
            raise ValueError(f"{tensor.name}: expected binary_data_size up to {len(rest)}, got {size!r:.50}")
        found.append(rest[:size])
        rest = rest[size:]
    if rest:
        raise ValueError(f"{len(rest)} bytes behind the head belong to no input: give each its binary_data_size")
    return found


def _numbers(tensor: Tensor, content: bytes | None, datatype: str, shape: tuple[int, ...]) -> NDArray[Any]:
    fits = len(tensor.shape) == len(shape) and all(n >= 1 for n in tensor.shape)
    fits = fits and all(wanted in (-1, there) for wanted, there in zip(shape, tensor.shape, strict=True))
    if tensor.datatype != datatype or not fits:
        got = f"{tensor.datatype:.50} of shape {tensor.shape!r:.200}"
        raise ValueError(f"{tensor.name}: expected {datatype} of shape {list(shape)}, −1 for any, got {got}")
    flat = _from_json(tensor, datatype) if content is None else _from_bytes(tensor, content, datatype)
    if flat.size != prod(tensor.shape):
        raise ValueError(f"{tensor.name}: expected {prod(tensor.shape)} numbers for its shape, got {flat.size}")
    return flat.reshape(tensor.shape)


def _from_json(tensor: Tensor, datatype: str) -> NDArray[Any]:
    try:
        given = np.array(tensor.data)
    except ValueError:
        raise ValueError(f"{tensor.name}: expected data of the shape {tensor.shape}, got unequal lists") from None
    if given.dtype.kind not in ("iu" if datatype == "INT64" else "fiu"):
        raise ValueError(f"{tensor.name}: expected {'whole ' * (datatype == 'INT64')}numbers in data")
    with np.errstate(over="ignore"):
        return given.astype(_TYPES[datatype].newbyteorder("=")).ravel()


def _from_bytes(tensor: Tensor, content: bytes, datatype: str) -> NDArray[Any]:
    kind = _TYPES[datatype]
    if tensor.data is not None or len(content) % kind.itemsize:
        raise ValueError(f"{tensor.name}: expected bytes of {datatype} alone, {kind.itemsize} for each number")
    return np.frombuffer(content, kind).astype(kind.newbyteorder("="), copy=False)
