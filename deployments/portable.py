"""A model version in one ONNX file: besides the network and its training state all that the loop needs to go on.

That is its card, its reference for drift, its memory, and the rows held out to judge its successors. Wherever such a
file is copied to, learning can go on from it; so it holds samples of the data.
"""

import base64
import binascii
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import polars as pl

from deployments.export import open_onnx

FILES = CARD, REFERENCE, MEMORY, HOLDOUT = "card.json", "reference.npz", "memory.parquet", "holdout.parquet"
MOST_BYTES = 4_000_000
"""A larger memory is thinned out, and of the held-out rows the latest are kept: the file is served, and stays small."""
_PREFIX, _SHA256 = "lehr.files/", "lehr.files_sha256"


@dataclass(frozen=True)
class Packed:
    """What a packed file holds besides the network.

    holdout: rows as the feature store has them, by the numbers of their batches.
    """

    card: Mapping[str, Any]
    reference: bytes
    memory: pl.DataFrame
    holdout: pl.DataFrame


def pack(model: bytes, contents: Packed) -> bytes:
    """The exported file with the contents in its metadata."""
    document = open_onnx(model)
    memory = contents.memory.gather_every(_times_too_large(contents.memory))
    holdout = contents.holdout.tail(contents.holdout.height // _times_too_large(contents.holdout))
    card = json.dumps(contents.card, allow_nan=False).encode()
    files = {CARD: card, REFERENCE: contents.reference, MEMORY: _parquet(memory), HOLDOUT: _parquet(holdout)}
    for name, content in files.items():
        document.metadata_props.add(key=_PREFIX + name, value=base64.b64encode(content).decode("ascii"))
    document.metadata_props.add(key=_SHA256, value=_digest(files))
    return document.SerializeToString()


def unpack(model: bytes) -> Packed:
    """The contents of a packed file.

    Raises ValueError, saying what to do, for a file that holds none, and for one whose contents were changed.
    """
    found = {p.key: p.value for p in open_onnx(model).metadata_props}
    if not all(key in found for key in (*(_PREFIX + name for name in FILES), _SHA256)):
        raise ValueError(
            "this ONNX file does not say which data it learned from, so learning cannot continue from it; "
            "use a model.onnx that lehr exported, or train a first champion from data: lehr init FILE.csv"
        )
    try:
        files = {name: base64.b64decode(found[_PREFIX + name]) for name in FILES}
    except binascii.Error:
        files = {}  # whose digest is none
    if _digest(files) != found[_SHA256]:
        raise ValueError(
            "what this ONNX file says about its training was changed after it was exported; restore it from a backup"
        )
    try:
        memory, holdout = (pl.read_parquet(BytesIO(files[name])) for name in (MEMORY, HOLDOUT))
        return Packed(json.loads(files[CARD]), files[REFERENCE], memory, holdout)
    except (ValueError, RecursionError, pl.exceptions.PolarsError) as error:  # whoever made it hashed it too
        raise ValueError(f"what this ONNX file says about its training is none of lehr's: {error}"[:300]) from None


def _times_too_large(frame: pl.DataFrame) -> int:
    return max(1, -(-int(frame.estimated_size()) // MOST_BYTES))


def _parquet(frame: pl.DataFrame) -> bytes:
    buffer = BytesIO()
    frame.write_parquet(buffer)
    return buffer.getvalue()


def _digest(files: Mapping[str, bytes]) -> str:
    hasher = hashlib.sha256()
    for name, content in files.items():
        hasher.update(f"{name} {len(content)}\n".encode() + content)
    return hasher.hexdigest()
