"""Representations by the Open Inference Protocol: embeddings and keypoints of signals."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from starlette.concurrency import run_in_threadpool

from data.row_hashes import hash_signal
from deployments.signal_export import OUTPUTS, ServedRepresentation, SignalModel
from deployments.versions import VersionFiles
from service.inference.signal_tensors import LENGTHS, SIGNALS, AskedSignals, parse_signals
from service.inference.tensors import encode_response
from service.problems import Problem

MOST_SIGNALS = 4096


@dataclass(frozen=True)
class ServedSignals:
    """A version that represents signals, in memory."""

    name: str
    version: int
    sha256: str
    model: SignalModel

    @property
    def outputs(self) -> list[str]:
        """The names of what it answers."""
        return list(OUTPUTS)

    def shapes(self) -> tuple[dict[str, tuple[str, list[int]]], dict[str, tuple[str, list[int]]]]:
        """Type and shape of each input and output; −1: any number."""
        inputs = {SIGNALS: ("FP32", [-1, self.model.channels, -1]), LENGTHS: ("INT64", [-1])}
        found, keypoints = self.model.represent(np.zeros((1, self.model.channels, 8), np.float32)), self.model.keypoints
        per_step = ("FP32", [-1, -1, len(keypoints)])
        return inputs, {
            "embeddings": ("FP32", [-1, found.embeddings_BE.shape[1]]),
            "keypoint_logits": per_step,
            "offsets": per_step,
            "positions": ("FP32", [-1, len(keypoints)]),
        }


def represents_signals(files: VersionFiles) -> bool:
    """Whether a version is of a pipeline over signals."""
    return files.card["config"]["task"] == "representation"


def open_signals(name: str, version: int, sha256: str, files: VersionFiles) -> ServedSignals:
    """Open and warm up a version; raises ValueError where it is not what was registered."""
    served = ServedSignals(name, version, sha256, SignalModel(files.onnx))
    served.shapes()
    return served


@dataclass(frozen=True)
class AnsweredSignals:
    """A request's signals, and what a record keeps of the answer."""

    signals_BCT: NDArray[np.float32]
    lengths_B: NDArray[np.int64]
    embeddings_BE: NDArray[np.float32]
    positions_BK: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.lengths_B)

    def hashes(self) -> list[bytes]:
        """The hash of each signal, without its padding."""
        pairs = zip(self.signals_BCT, self.lengths_B, strict=True)
        return [hash_signal(np.ascontiguousarray(signal_CT[:, :length])) for signal_CT, length in pairs]


@dataclass(frozen=True)
class RepresentedRequest:
    """A checked request and what the model makes of it."""

    asked: AskedSignals
    found: ServedRepresentation

    @property
    def answered(self) -> AnsweredSignals:
        """What its record is made of."""
        asked, found = self.asked, self.found
        return AnsweredSignals(asked.signals_BCT, asked.lengths_B, found.embeddings_BE, found.positions_BK)


async def represent_request(version: ServedSignals, body: bytes, head_length: str | None) -> RepresentedRequest:
    """What a request asks for, represented; raises Problem for what cannot be."""
    try:
        asked = parse_signals(body, head_length, version.model.channels, version.outputs)
    except ValueError as error:
        raise Problem(400, str(error)) from None
    if len(asked.signals_BCT) > MOST_SIGNALS:
        raise Problem(400, f"{SIGNALS}: expected at most {MOST_SIGNALS} in one request, got {len(asked.signals_BCT)}")
    found = await run_in_threadpool(version.model.represent, asked.signals_BCT, asked.lengths_B)
    return RepresentedRequest(asked, found)


def encode_represented(version: ServedSignals, represented: RepresentedRequest, receipt: str) -> tuple[bytes, int]:
    """The answer's body, and the length of its head where bytes follow it (else 0)."""
    found = represented.found
    arrays: dict[str, Any] = {
        "embeddings": found.embeddings_BE,
        "keypoint_logits": found.keypoint_logits_BLK,
        "offsets": found.offsets_BLK,
        "positions": found.positions_BK,
    }
    document: dict[str, Any] = {"model_name": version.name, "model_version": str(version.version)}
    if represented.asked.id is not None:
        document["id"] = represented.asked.id
    document["parameters"] = {"keypoints": list(version.model.keypoints), "receipt_id": receipt}
    return encode_response(document, represented.asked.wanted, arrays)
