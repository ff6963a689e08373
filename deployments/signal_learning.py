"""One rung of the ladder over signals: from the lineage and the stored signals to a draft, and to a version."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from shutil import rmtree
from typing import Any

import numpy as np
import polars as pl

from data.files import write_whole
from data.kept_batches import kept_batches
from data.signal_checks import signals_frame, signals_of
from data.signals import Signals, join_signals
from deployments.ladder import Rung
from deployments.outcomes import Batch, Exported, Learned
from deployments.setting_aside import readings_set_aside, without_signals
from deployments.signal_export import SignalModel, check_signal_parity, export_signals, load_signal_network
from deployments.signal_line import SignalLine
from deployments.signal_versions import parquet_of, represent_with, signal_lineage_of, signal_version_of
from deployments.versions import save_version
from learning.callbacks import Followed, Listener
from learning.checkpoint import OtherTrainingError
from learning.representation import Learned as MadeNetwork
from learning.representation import choose_memory, fit_representation, update_representation
from monitoring.clusters import make_clusters

MODEL, MEMORY, LEARNED, CHECKPOINTS = "model.onnx", "memory.parquet", "learned.json", "checkpoints"
_PARITY_SHARES = (0.5, 0.8, 1.0, 1.3)


def make_signal_draft(
    line: SignalLine, batch: Batch, rung: Rung, callbacks: Sequence[Listener[Followed]] = ()
) -> Learned | None:
    """Keep the rung's candidate of all batches up to this one in its folder.

    None where the rung has nothing to work with: no blend to patch, no new signals, fewer than two elements. A training
    that was killed goes on from its latest epoch, to the bit.
    """
    if rung == "patch":
        return None
    lineage = None if rung == "tune" else signal_lineage_of(line)
    since = 1 if lineage is None or rung == "retrain" else lineage.trained_through + 1
    new = stored_signals(line, range(since, batch.number + 1), "train")
    if new is None:
        return None
    training, folder = line.config.training, line.draft_folder(batch.number, rung)
    if lineage is None or rung == "retrain":
        if len(np.unique(new.elements_N)) < 2:
            return None
        remembered = new

        def learn() -> MadeNetwork:
            return fit_representation(new, line.config.model, training, folder / CHECKPOINTS, callbacks=callbacks)
    else:
        before = lineage.memory.weighed(line.config.data.weights)
        remembered, network = join_signals([before, new]), load_signal_network(lineage.onnx)

        def learn() -> MadeNetwork:
            return update_representation(network, before, new, training, folder / CHECKPOINTS, callbacks)

    made, notes = _from_checkpoint(learn, folder / CHECKPOINTS)
    memory = choose_memory(remembered, training.memory_signals, training.seed)
    cost = made.training.cost
    write_whole(folder / MODEL, export_signals(made.network))
    write_whole(folder / MEMORY, parquet_of(signals_frame(memory, line.schema)))
    learned = Learned(cost.samples, cost.seconds, (*notes, *made.training.notes))
    write_whole(folder / LEARNED, json.dumps({"samples": cost.samples, "seconds": cost.seconds}).encode())
    return learned


def _from_checkpoint(learn: Callable[[], MadeNetwork], folder: Path) -> tuple[MadeNetwork, tuple[str, ...]]:
    """What is learned, and what is to be said of it; a checkpoint of what would be learned otherwise is thrown away."""
    try:
        return learn(), ()
    except OtherTrainingError:
        rmtree(folder)
        return learn(), ("an earlier attempt was learning otherwise, so that it was begun again",)


def export_signal_draft(line: SignalLine, batch: Batch, rung: Rung, parent: int | None) -> Exported:
    """Write the draft's version folder and register it in the ledger."""
    folder = line.draft_folder(batch.number, rung)
    onnx, memory = (folder / MODEL).read_bytes(), pl.read_parquet(folder / MEMORY)
    cost = json.loads((folder / LEARNED).read_bytes())
    number = line.ledger.next_version(line.name)
    card = _card(line, batch, rung, cost)
    reference = _reference(line, batch, SignalModel(onnx))
    digest = save_version(line.version_folder(number), onnx, card, reference, memory)
    line.ledger.register_version(line.name, number, digest, parent, batch.number, rung)
    return export_signals_again(line, number)


def export_signals_again(line: SignalLine, number: int) -> Exported:
    """A registered version as if it had just been exported; its parity is measured at lengths around the memory's."""
    version = signal_version_of(line, number)
    longest = int(version.memory.lengths_N.max(initial=line.config.data.samples.min))
    lengths = sorted({max(2, round(share * longest)) for share in _PARITY_SHARES})
    network, seed = load_signal_network(version.onnx), line.config.training.seed
    return Exported(number, check_signal_parity(network, version.onnx, lengths, seed))


def stored_signals(
    line: SignalLine, batches: range, split: str | None = None, among: Sequence[int] | None = None
) -> Signals | None:
    """Stored signals with their annotators' weights, but for those set aside; None where there are none."""
    frame = without_signals(line.store.read(batches, split, among=among), readings_set_aside(line.ledger, line.name))
    return None if frame.is_empty() else signals_of(frame, line.schema).weighed(line.config.data.weights)


def held_out_signals(line: SignalLine, through: int) -> Signals | None:
    """The held-out signals that judge after a batch: of a long history those of `kept_batches`."""
    return stored_signals(line, range(1, through + 1), "holdout", kept_batches(through))


def _reference(line: SignalLine, batch: Batch, model: SignalModel) -> bytes:
    through = batch.number
    learned = stored_signals(line, range(1, through + 1), "train", kept_batches(through))
    assert learned is not None, "a draft was learned from something"
    held_out = held_out_signals(line, through) or learned.take(np.arange(0))
    of_held_NE = represent_with(model, held_out).embeddings_NE if len(held_out) else np.empty((0, 1), np.float32)
    return make_clusters(represent_with(model, learned).embeddings_NE, learned, of_held_NE, held_out).save()


def _card(line: SignalLine, batch: Batch, rung: Rung, cost: dict[str, Any]) -> dict[str, Any]:
    """What a version is and where it comes from."""
    return {
        "pipeline": line.name,
        "config": line.config.model_dump(mode="json"),
        "features": list(line.schema.channels),
        "keypoints": list(line.schema.keypoints),
        "classes": None,
        "made_by": rung,
        "strategy": "update" if rung == "update" else "representation",
        "batch": {"number": batch.number, "id": batch.id},
        "trained_through": batch.number,
        "cost": cost,
    }
