"""One rung of the ladder: from the champion and the stored rows to a candidate."""

from collections.abc import Sequence
from typing import Any

import polars as pl
from numpy.typing import NDArray

from data.kept_batches import kept_batches
from data.samples import Samples
from data.windows import classes_of, make_samples
from deployments.champions import Version, lineage_of
from deployments.drafts import Classes
from deployments.ladder import Rung
from deployments.line import Line
from deployments.outcomes import Batch
from deployments.setting_aside import sound_rows
from learning.callbacks import Callback
from learning.candidate import Candidate
from learning.learn import bootstrap, learns_from_history, patch, retrain, update
from learning.plan import LearningPlan


def make_candidate(
    line: Line, batch: Batch, rung: Rung, callbacks: Sequence[Callback] = ()
) -> tuple[Candidate, Classes] | None:
    """The candidate that a rung makes of all batches up to this one, and its classes.

    None where the rung has nothing to work with: no labelled rows, fewer than two classes, nothing to blend.
    """
    lineage = None if rung == "tune" else lineage_of(line)  # another network cannot go on from the lineage's weights
    if lineage is None or rung == "retrain":
        return _from_history(line, batch, lineage, callbacks)
    plan = plan_of(line, lineage.classes)
    everything = rung != "patch" and learns_from_history(line.config.update)
    since = 1 if everything else lineage.candidate.trained_through + 1
    new = training_samples(line, range(since, batch.number + 1), lineage.classes)
    if len(new) == 0:
        return None
    if rung == "patch":
        blended = patch(plan, lineage.candidate, new)
        return None if blended is None else (blended, lineage.classes)
    return update(plan, lineage.candidate, new, callbacks), lineage.classes


def _from_history(
    line: Line, batch: Batch, lineage: Version | None, callbacks: Sequence[Callback] = ()
) -> tuple[Candidate, Classes] | None:
    """A first candidate, or a retrain of the lineage; its classes are all that the training rows hold."""
    frame = sound_rows(line, range(1, batch.number + 1), split="train")
    classes = classes_of(frame, line.schema)
    history = make_samples(frame, line.schema, line.window_length, classes)
    if len(history) == 0 or (classes is not None and len(classes) < 2):
        return None
    plan = plan_of(line, classes)
    if lineage is None:
        return bootstrap(plan, history, callbacks), classes
    return retrain(plan, lineage.candidate, history, callbacks), classes


def plan_of(line: Line, classes: Classes) -> LearningPlan:
    """The pipeline's plan of learning for these classes."""
    config = line.config
    return LearningPlan(config.model, config.training, config.update, config.task, len(classes) if classes else 1)


def training_samples(line: Line, batches: range, classes: Classes) -> Samples:
    """Training samples that were labelled under some numbers."""
    frame = sound_rows(line, batches, split="train")
    return make_samples(frame, line.schema, line.window_length, classes)


def trained_targets(line: Line, through: int, classes: Classes) -> NDArray[Any]:
    """Labelled training targets after a batch, for a trivial predictor: of a long history those of `kept_batches`."""
    target = line.schema.target
    labels = line.store.read(range(1, through + 1), "train", [target], kept_batches(through))[target].drop_nulls()
    if classes is None:
        return labels.to_numpy()
    numbers = {label: number for number, label in enumerate(classes)}
    return labels.replace_strict(numbers, default=None, return_dtype=pl.Int64).drop_nulls().to_numpy()
