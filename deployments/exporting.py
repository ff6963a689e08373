"""From a draft to a model version: the folder that could go live."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import polars as pl
import torch

from data.feature_store import BEFORE_ALL
from data.kept_batches import kept_batches
from data.schema import Schema
from data.windows import last_rows, make_samples
from deployments.champions import lineage_of, version_of
from deployments.drafts import Classes
from deployments.export import check_parity, export
from deployments.ladder import Rung
from deployments.line import Line
from deployments.outcomes import Batch, Exported
from deployments.pipeline import PipelineConfig
from deployments.portable import Packed, pack
from deployments.scoring import OnnxModel, Predictor
from deployments.setting_aside import sound, sound_holdout
from deployments.versions import save_version
from learning.candidate import Candidate
from monitoring.estimation import Estimator, fit_estimator
from monitoring.reference import Reference, make_reference

REFERENCE_ROWS = 5_000
ESTIMATOR_ROWS = 2_000


def export_version(line: Line, batch: Batch, rung: Rung, candidate: Candidate, classes: Classes) -> Exported:
    """Write the candidate's version folder and register it in the ledger, as one that goes on from the lineage.

    The reference is sketched from the latest rows up to the batch, in order of time.
    """
    lineage = lineage_of(line)
    return export_after(line, batch, rung, candidate, classes, lineage.number if lineage else None)


def export_after(
    line: Line, batch: Batch, rung: Rung, candidate: Candidate, classes: Classes, parent: int | None
) -> Exported:
    """The same for a candidate that goes on from another version, or from none."""
    served = candidate.served()
    features, length = len(line.schema.features), line.window_length
    onnx = export(served, features, length, candidate.state_tensors(), candidate.state_config())
    number = line.ledger.next_version(line.name)
    origin = {"number": batch.number, "id": batch.id}
    card = make_card(line.config, line.schema.features, candidate, classes, rung, origin)
    reference = _reference(line, batch, OnnxModel(onnx), classes)
    estimator = _estimator(line, batch, OnnxModel(onnx), classes)
    reference = replace(reference, estimator=estimator)
    sketch, memory = reference.save(), candidate.memory.to_frame()
    packed = pack(onnx, Packed(card, sketch, memory, _held_out(line, batch)))
    digest = save_version(line.version_folder(number), packed, card, sketch, memory)
    line.ledger.register_version(line.name, number, digest, parent, batch.number, rung)
    return Exported(number, check_parity(served, onnx, features, length, line.config.training.seed))


def export_again(line: Line, number: int) -> Exported:
    """A registered version as if it had just been exported."""
    version = version_of(line, number)
    served, features = version.candidate.served(), len(line.schema.features)
    parity = check_parity(served, version.onnx, features, line.window_length, line.config.training.seed)
    return Exported(number, parity)


def latest_rows(line: Line, through: int) -> pl.DataFrame:
    """The latest few thousand stored rows up to a batch, in order of time; batches without any label are left out."""
    kept: list[pl.DataFrame] = []
    for number in range(through, 0, -1):
        rows = sound(line, line.store.read(batches=range(number, number + 1)))
        if rows[line.schema.target].null_count() < rows.height:
            kept.insert(0, rows)
        if sum(frame.height for frame in kept) >= REFERENCE_ROWS:
            break
    return pl.concat(kept).tail(REFERENCE_ROWS)


def _held_out(line: Line, batch: Batch) -> pl.DataFrame:
    """As the feature store has them, with the labels known so far; of a long history those of `kept_batches`."""
    through = batch.number
    numbers, among = range(BEFORE_ALL, through + 1), kept_batches(through)
    return sound(line, line.store.read(numbers, split="holdout", among=among, labels_through=through))


def _estimator(line: Line, batch: Batch, model: OnnxModel, classes: Classes) -> Estimator | None:
    """How far predictions are off on the latest held-out rows, to estimate scores where labels are late."""
    holdouts = sound_holdout(line, batch.number)
    samples = make_samples(holdouts, line.schema, line.window_length, classes, keep_unknown=True)
    latest = samples.take(torch.arange(max(0, len(samples) - ESTIMATOR_ROWS), len(samples)))
    if len(latest) == 0:
        return None
    predictions, targets_B = model.predict_samples(latest), latest.targets_B.numpy()
    return fit_estimator(line.config.metric, predictions, last_rows(latest), targets_B, line.config.training.seed)


def _reference(line: Line, batch: Batch, model: OnnxModel, classes: Classes) -> Reference:
    return reference_of(line.config, line.schema, latest_rows(line, batch.number), model, classes)


def reference_of(
    config: PipelineConfig, schema: Schema, rows: pl.DataFrame, model: Predictor, classes: Classes
) -> Reference:
    """The reference that stored rows in order of time make; later batches are expected to be as long as their last."""
    samples = make_samples(rows, schema, config.data.window.length, classes, keep_unknown=True)
    ends_B = (samples.starts_B + samples.length - 1).numpy()
    shuffled = config.training.seed if config.data.order == "none" else None
    batch_rows = rows.filter(pl.col("lehr_batch") == pl.col("lehr_batch").max()).height
    predictions = model.predict_samples(samples)
    return make_reference(rows, schema, predictions, ends_B, shuffled, batch_rows, config.drift.periods)


def make_card(
    config: PipelineConfig,
    features: Sequence[str],
    candidate: Candidate,
    classes: Classes,
    made_by: str,
    batch: Mapping[str, Any],
) -> dict[str, Any]:
    """What a version is and where it comes from."""
    return {
        "pipeline": config.name,
        "config": config.model_dump(mode="json"),
        "features": list(features),
        "classes": classes,
        "made_by": made_by,
        "strategy": candidate.strategy,
        "batch": batch,
        "trained_through": candidate.trained_through,
        "half_life_weights": candidate.evidence.weights(),
        "cost": {"samples": candidate.cost.samples, "seconds": candidate.cost.seconds},
    }
