"""A packed model from elsewhere as a pipeline's first champion."""

import csv
import hashlib
import io
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import polars as pl

from data.ledger import Ledger
from data.schema import Schema
from data.seals import seal_batch
from data.sources import Arrival
from deployments.export import export, load_state
from deployments.line import Line
from deployments.outcomes import Stored
from deployments.pipeline import PipelineConfig
from deployments.portable import Packed, pack, unpack
from deployments.versions import load_card, save_version
from learning.blend import evidence_from_json
from learning.candidate import Candidate
from learning.memory import Memory


@dataclass(frozen=True)
class PackedModel:
    """A packed ONNX file, opened."""

    onnx: bytes
    contents: Packed
    config: PipelineConfig
    schema: Schema
    candidate: Candidate

    @property
    def sha256(self) -> str:
        """By which a file is known again."""
        return hashlib.sha256(self.onnx).hexdigest()


def open_packed(model: bytes) -> PackedModel:
    """Read a packed file; raises ValueError, saying what to do, where it holds no state to go on from."""
    state, tensors = load_state(model)
    contents = unpack(model)
    config = PipelineConfig.parse(contents.card["config"], "the configuration inside the ONNX file")
    data, features = config.data, tuple(contents.card["features"])
    missing, key = tuple(data.missing), data.key_columns
    schema = Schema(features, data.target, data.timestamp, data.group, config.task, missing, key)
    candidate = Candidate.from_state(state, tensors, Memory.from_frame(contents.memory))
    return PackedModel(model, contents, config, schema, candidate)


def adopt(line: Line, model: PackedModel, origin: str) -> int:
    """Put a packed model into production as the line's first champion; returns its version.

    Its past lies before the line's first batch: the batches of its memory and of its held-out rows get numbers up to 0.
    Raises PromotionConflictError where the line has a champion, and ValueError where its columns are not the model's.
    """
    if line.schema.features != model.schema.features:
        raise ValueError(f"the model reads {', '.join(model.schema.features)}; the pipeline {line.name} does not")
    digest, number = model.sha256, line.ledger.next_version(line.name)
    candidate, contents = _packed_before_the_first_batch(model, {"from": origin, "sha256": digest})
    if not contents.holdout.is_empty():
        _store(line, digest, contents.holdout)
    state = candidate.state_tensors(), candidate.state_config()
    exported = export(candidate.served(), len(line.schema.features), line.window_length, *state)
    packed = pack(exported, contents)
    folder = line.version_folder(number)
    sha256 = save_version(folder, packed, contents.card, contents.reference, contents.memory)
    line.ledger.register_version(line.name, number, sha256, None, 0, "adopted")
    run = line.registry.log_candidate(f"adopted-{number}", {"from": origin}, {}, {"lehr_sha256": digest})
    line.registry.register(number, packed, run)
    line.ledger.promote(line.name, number, None, None, f"adopted from {origin}")
    line.registry.project_champion(number)
    return number


@dataclass(frozen=True)
class Known:
    """A model file that a pipeline knows: it is this version, or the version adopted it under numbers of its own."""

    version: int
    adopted: bool


def known_model(ledger: Ledger, folder: Path, pipeline: str, sha256: str) -> Known | None:
    """What a model file is to a pipeline with this folder; None where it is none of its versions."""
    for entry in ledger.versions(pipeline):
        card = load_card(folder / "versions" / str(entry.version), entry.sha256)
        adopted = card.get("adopted", {}).get("sha256") == sha256
        if adopted or card["sha256"]["model.onnx"] == sha256:
            return Known(entry.version, adopted)
    return None


def header_of(model: PackedModel) -> Arrival:
    """A file with no rows and the model's columns in their order: what a line that adopts it is declared by."""
    row = io.StringIO()
    csv.writer(row).writerow(model.schema.columns)
    return Arrival("the model's card", row.getvalue().encode(), "csv")


def _store(line: Line, digest: str, holdout: pl.DataFrame) -> None:
    """Put the model's held-out rows into the store, and their seal into the journal under the model's hash."""
    version = line.store.append(digest, holdout)
    if "store" not in line.ledger.journal(line.name, digest):
        stored = Stored(version, 0, holdout.height, seal_batch(line.store.folder, version, holdout))
        line.ledger.record_step(line.name, digest, "store", asdict(stored))


def before_the_first_batch(candidate: Candidate) -> Candidate:
    """The same candidate with its batches numbered so that the last it learned from is 0."""
    past, samples = candidate.trained_through, candidate.memory.samples
    memory = replace(candidate.memory, samples=replace(samples, batches_B=samples.batches_B - past))
    observed = json.loads(candidate.evidence.to_json())
    observed["observed_through"] = min(0, observed["observed_through"] - past)
    return replace(candidate, memory=memory, evidence=evidence_from_json(json.dumps(observed)), trained_through=0)


def _packed_before_the_first_batch(model: PackedModel, adopted: Mapping[str, str]) -> tuple[Candidate, Packed]:
    candidate, contents = before_the_first_batch(model.candidate), model.contents
    before = pl.col("lehr_batch") - model.candidate.trained_through
    renumbered = pl.min_horizontal(before, pl.lit(0)).cast(pl.Int32)
    return candidate, Packed(
        {**contents.card, "trained_through": 0, "adopted": adopted},
        contents.reference,
        candidate.memory.to_frame(),
        contents.holdout.with_columns(lehr_batch=renumbered),
    )
