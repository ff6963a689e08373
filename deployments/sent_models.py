"""A model that somebody sends to be trained on: a packed ONNX file, or a network's weights with their card.

Weights are a safetensors file of a network's whole state, all its heads; the card is JSON with the keys config,
features, classes and state, in the file's metadata or beside it. Nothing of a model is ever executed: a network is
built by its description, and its weights are put into it.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch

from data.samples import Samples
from deployments.adoption import open_packed
from deployments.drafts import Classes
from deployments.export import export, load_state
from deployments.exporting import REFERENCE_ROWS, make_card, reference_of
from deployments.pipeline import PipelineConfig
from deployments.portable import Packed, pack, unpack
from deployments.scoring import OnnxModel
from deployments.training import StoredData
from learning.candidate import Candidate
from learning.memory import empty_memory

SUFFIXES = (".onnx", ".safetensors")
PICKLES = (b"PK", b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")
"""What pickles, and the archives that torch puts them into, begin with."""
CARD = "lehr.card"
CARD_KEYS = ("config", "features", "classes", "state")


@dataclass(frozen=True)
class SentModel:
    """A candidate to go on from, the pipeline that it learned by, and its packed ONNX file where it came as one."""

    config: PipelineConfig
    features: tuple[str, ...]
    classes: Classes
    candidate: Candidate
    onnx: bytes | None


def check_sent(path: Path, suffix: str, card: bytes | None) -> None:
    """Look whether a file is a model of lehr's, whole and with its state; raises ValueError with why not."""
    content = path.read_bytes()
    if content.startswith(PICKLES):
        raise ValueError("this is a pickle or an archive, which may run code and is never opened")
    if suffix == ".onnx":
        load_state(content)
        unpack(content)
    else:
        _card(path, card)


def open_sent(path: Path, card: bytes | None = None) -> SentModel:
    """Open a model file; raises ValueError, saying what to do, where it holds nothing to go on from."""
    if path.suffix == ".onnx":
        packed = open_packed(path.read_bytes())
        classes: Classes = packed.contents.card["classes"]
        return SentModel(packed.config, packed.schema.features, classes, packed.candidate, packed.onnx)
    found = _card(path, card)
    config = PipelineConfig.parse(found["config"], "the configuration in the model's card")
    features, length = tuple(found["features"]), config.data.window.length
    kind = torch.int64 if config.task == "classification" else torch.float32
    nothing = torch.empty(0, dtype=torch.int64)
    samples = Samples(torch.empty(0, len(features)), nothing, length, torch.empty(0, dtype=kind), nothing)
    try:
        tensors = safetensors.torch.load(path.read_bytes())
        candidate = Candidate.from_state(found["state"], tensors, empty_memory(samples))
    except (KeyError, TypeError, safetensors.SafetensorError) as error:
        raise ValueError(f"the model's card does not describe its weights: {error}") from None
    return SentModel(config, features, found["classes"], candidate, None)


def as_weights(onnx: bytes) -> bytes:
    """A packed ONNX file as weights with their card; memory, reference and held-out rows stay behind."""
    model = open_packed(onnx)
    card = {
        "config": model.config.model_dump(mode="json"),
        "features": list(model.schema.features),
        "classes": model.contents.card["classes"],
        "state": model.candidate.state_config(),
    }
    return safetensors.torch.save(model.candidate.state_tensors(), {CARD: json.dumps(card)})


def as_packed(model: SentModel, data: StoredData) -> bytes:
    """The model as a packed ONNX file; where it came as weights alone, what they lack is made from the data."""
    if model.onnx is not None:
        return model.onnx
    candidate, config = model.candidate, data.config
    length = config.data.window.length
    state = candidate.state_tensors(), candidate.state_config()
    onnx = export(candidate.served(), len(model.features), length, *state)
    rows = data.rows.tail(REFERENCE_ROWS)
    reference = reference_of(config, data.schema, rows, OnnxModel(onnx), model.classes).save()
    origin = {"number": candidate.trained_through, "id": None}
    card = make_card(config, model.features, candidate, model.classes, "sent", origin)
    return pack(onnx, Packed(card, reference, candidate.memory.to_frame(), data.rows.clear()))


def _card(path: Path, beside: bytes | None) -> dict[str, Any]:
    """The card inside the file, or the one beside it."""
    try:
        with safetensors.safe_open(path, framework="pt") as opened:  # pyright: ignore[reportPrivateImportUsage]
            inside: dict[str, str] = opened.metadata() or {}
    except safetensors.SafetensorError as error:
        raise ValueError(f"this is no safetensors file, or a broken one: {error}") from None
    text = inside.get(CARD) if beside is None else beside
    if text is None:
        raise ValueError(f"the weights come without their card: send it as the part card, or as {CARD} in the metadata")
    try:
        card = json.loads(text)
    except (ValueError, RecursionError):
        raise ValueError("the model's card is not JSON") from None
    if not isinstance(card, dict) or not all(key in card for key in CARD_KEYS):
        raise ValueError(f"the model's card needs the keys {', '.join(CARD_KEYS)}")
    return card
