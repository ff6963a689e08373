"""A training of its own on what a pipeline's feature store holds: nothing of the loop's state changes."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import polars as pl

from data.feature_store import FeatureStore
from data.files import write_whole
from data.landing import sound_rows
from data.readers import BadBatch, read_batch, read_columns
from data.samples import Samples
from data.schema import Schema, resolve_schema
from data.sources import Arrival
from data.splits import mark_rows
from data.training_runs import TrainingRuns
from data.windows import classes_of, make_samples
from deployments.drafts import Classes
from deployments.export import check_parity, export
from deployments.exporting import REFERENCE_ROWS, make_card, reference_of
from deployments.line import open_ledger
from deployments.pipeline import PipelineConfig
from deployments.portable import Packed, pack
from deployments.ranges import ALL, Range, within
from deployments.scoring import OnnxModel
from deployments.setting_aside import readings_set_aside, without_readings
from deployments.settings import Settings
from learning.callbacks import Callback
from learning.candidate import Candidate
from learning.learn import bootstrap, first_candidate
from learning.metrics import Training
from learning.plan import LearningPlan
from learning.randomness import seeded
from learning.resume import Checkpoints
from learning.runs import fit_run
from learning.strategies.scratch import fresh_network
from monitoring.performance import score_all


@dataclass(frozen=True)
class StoredData:
    """A pipeline's rows, and the samples in them that are learned from and held out."""

    config: PipelineConfig
    schema: Schema
    rows: pl.DataFrame
    classes: Classes
    train: Samples
    holdout: Samples

    @property
    def outputs(self) -> int:
        """Classes, or 1 for a value."""
        return 1 if self.classes is None else len(self.classes)

    @property
    def plan(self) -> LearningPlan:
        """How to learn from it, as the configuration says."""
        config = self.config
        return LearningPlan(config.model, config.training, config.update, config.task, self.outputs)


@dataclass(frozen=True)
class Trained:
    """A trained candidate, its packed ONNX file, and its scores on the rows held out; None where none were."""

    candidate: Candidate
    onnx: bytes
    scores: dict[str, float] | None


def known_pipeline(settings: Settings) -> PipelineConfig:
    """The configuration of the one pipeline that has a version under the settings' home.

    Raises ValueError, with those that are there, where there is none or more than one.
    """
    ledger = open_ledger(settings)
    cards = {name: settings.home / name / "versions" for name in ledger.pipelines()}
    known = {name: folder for name, folder in cards.items() if ledger.next_version(name) > 1}
    if len(known) != 1:
        found = ", ".join(known) or "none"
        raise ValueError(f"say which pipeline's data to train on: those with a version under {settings.home}: {found}")
    ((name, folder),) = known.items()
    card = folder / str(ledger.next_version(name) - 1) / "card.json"
    return PipelineConfig.parse(json.loads(card.read_text(encoding="utf-8"))["config"], str(card))


def read_stored(config: PipelineConfig, settings: Settings, chosen: Range = ALL) -> StoredData:
    """What the pipeline's feature store holds.

    Raises ValueError where nothing is stored, nothing of it chosen, or nothing in it can be learned from.
    """
    ledger = open_ledger(settings)
    kept: dict[str, Any] | None = ledger.schema(config.name)
    if kept is None:
        raise ValueError(f"nothing is stored of the pipeline {config.name} under {settings.home}: lehr run it first")
    schema = resolve_schema(config.data, config.task, kept["columns"])
    stored = FeatureStore(settings.home / config.name / "store", config.data.target).read()
    rows = without_readings(stored, schema.features, readings_set_aside(ledger, config.name))
    return prepare(config, schema, within(rows, schema, ledger.batches(config.name), chosen))


def read_given(config: PipelineConfig, arrival: Arrival) -> StoredData:
    """What a file holds, as if it were the pipeline's first batch.

    Raises ValueError, naming what is wrong, where it cannot be read or nothing in it can be learned from.
    """
    try:
        schema = resolve_schema(config.data, config.task, read_columns(arrival))
        frame = read_batch(arrival, schema)
    except BadBatch as bad:
        raise ValueError(f"{arrival.name}: {bad.reason}") from None
    return prepare(config, schema, mark_rows(sound_rows(frame, schema.group, ()), config.data, 1))


def prepare(
    config: PipelineConfig, schema: Schema, rows: pl.DataFrame, known: Sequence[str] | None = None
) -> StoredData:
    """Samples of a pipeline's rows; known: the classes of a model to go on from.

    Raises ValueError where nothing in the rows can be learned from, or they hold a class that the model does not know.
    """
    learned, held_out = (rows.filter(pl.col("lehr_split") == split) for split in ("train", "holdout"))
    classes, length = classes_of(learned, schema), config.data.window.length
    if classes is not None and known is not None:
        classes = _known_classes(classes, known)
    train = make_samples(learned, schema, length, classes)
    if len(train) == 0 or (classes is not None and len(classes) < 2):
        what = "no labelled samples" if len(train) == 0 else f"one class only, {classes[0]!r}" if classes else ""
        raise ValueError(f"there is nothing to learn in {rows.height} rows: {what}")
    holdout = make_samples(held_out, schema, length, classes, keep_unknown=True)
    return StoredData(config, schema, rows, classes, train, holdout)


def _known_classes(found: Sequence[str], known: Sequence[str]) -> list[str]:
    if new := [label for label in found if label not in known]:
        raise ValueError(
            f"the model does not know the class {new[0]!r}, only {', '.join(known)}; train from scratch to learn it"
        )
    return list(known)


def train_on(data: StoredData, callbacks: Sequence[Callback] = ()) -> Trained:
    """A first candidate from the data, by the configuration's model, training and update.

    Raises ValueError where the exported file differs from the network, FloatingPointError where a loss is not finite.
    """
    return _exported(data, bootstrap(data.plan, data.train, callbacks))


def train_run(
    data: StoredData,
    runs: TrainingRuns,
    run_id: str,
    checkpoints: Checkpoints,
    deliver: Callable[[Trained], None],
    callbacks: Sequence[Callback] = (),
) -> None:
    """What `train_on` makes as a run in the ledger, which others pause, resume, cancel and follow.

    deliver: called with the result before the run is over for those who follow it. Errors as `train_on` and
    `learning.runs.fit_run`.
    """
    plan = data.plan
    with seeded(plan.training.seed, int(data.train.batches_B.max())):
        network = fresh_network(plan, data.train)

        def export_and_deliver(training: Training) -> None:
            deliver(_exported(data, first_candidate(plan, data.train, network, training)))

        fit_run(runs, run_id, network, data.train, plan.training, checkpoints, callbacks, export_and_deliver)


def _exported(data: StoredData, candidate: Candidate) -> Trained:
    config, onnx = data.config, pack_candidate(data, candidate)
    scores = None
    if len(data.holdout):
        scores = score_all(config.task, OnnxModel(onnx).predict_samples(data.holdout), data.holdout.targets_B.numpy())
    return Trained(candidate, onnx, scores)


def save_trained(settings: Settings, pipeline: str, trained: Trained, now: datetime) -> Path:
    """Write the ONNX file among the pipeline's trainings, under the time it was trained; returns where."""
    path = settings.home / pipeline / "trainings" / f"{now:%Y%m%d_%H%M%S_%f}.onnx"
    write_whole(path, trained.onnx)
    return path


def pack_candidate(data: StoredData, candidate: Candidate) -> bytes:
    """The candidate as a packed file with the reference, memory and held-out rows of the data.

    Raises ValueError where the exported file differs from the network.
    """
    config, served, features = data.config, candidate.served(), len(data.schema.features)
    length = config.data.window.length
    onnx = export(served, features, length, candidate.state_tensors(), candidate.state_config())
    parity = check_parity(served, onnx, features, length, config.training.seed)
    if not parity <= config.gate.max_parity_error:
        limit = config.gate.max_parity_error
        raise ValueError(f"the exported file differs from the network by {parity:.3g}; allowed is {limit:.3g}")
    rows = data.rows.tail(REFERENCE_ROWS)
    reference = reference_of(config, data.schema, rows, OnnxModel(onnx), data.classes).save()
    origin = {"number": candidate.trained_through, "id": None}
    card = make_card(config, data.schema.features, candidate, data.classes, "training", origin)
    holdout = data.rows.filter(pl.col("lehr_split") == "holdout")
    return pack(onnx, Packed(card, reference, candidate.memory.to_frame(), holdout))
