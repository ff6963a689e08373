"""The versions of a history: one for the batches up to each, learned once and kept by the content of what made it."""

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from deployments.drafts import Classes, load_draft, save_draft
from deployments.history import History
from learning.candidate import Candidate
from learning.config import Scratch, UpdateConfig
from learning.learn import bootstrap, learns_from_history, retrain, update
from learning.plan import LearningPlan

FORMAT = 1
"""Raised when the same content would make another version: what was kept before is not found again."""

Learning = Literal["scratch", "chain"]
"""scratch: every version from fresh weights on all its batches, whatever came before. chain: the pipeline's own
strategy, each version going on from the one before it; a policy that learns less often would have another."""

Progress = Callable[[str, int, int], None]
"""What is being done, how many are done, how many there are."""


@dataclass(frozen=True)
class PastVersion:
    """What was learned from the batches up to a place, and the key that it is kept under."""

    place: int
    key: str
    candidate: Candidate
    classes: Classes


def version_places(history: History) -> list[int]:
    """The places whose batch a version ends with: those with labelled training rows, from two classes on."""
    places: list[int] = []
    for place in range(len(history)):
        classes = history.classes(range(place + 1))
        enough = classes is None or len(classes) >= 2
        if enough and len(history.training_samples(range(place, place + 1), classes)):
            places.append(place)
    if not places:
        raise ValueError("there is nothing to learn from in this history: no labelled rows, or one class only")
    return places


def version_key(history: History, place: int, learning: Learning) -> str:
    """SHA-256 over all that makes the version: its batches, what is read of them, network, training and format."""
    config = history.config
    update: UpdateConfig = Scratch() if learning == "scratch" else config.update
    parts = {name: getattr(config, name).model_dump(mode="json") for name in ("data", "model", "training")}
    batches = [(batch.number, batch.id) for batch in history.batches[: place + 1]]
    made_of = [FORMAT, learning, batches, history.suite, config.task, parts, update.model_dump(mode="json")]
    return digest(made_of)


def digest(content: Any) -> str:
    """SHA-256 of plain values."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def learn_versions(
    history: History, places: Sequence[int], learning: Learning, folder: Path, progress: Progress
) -> Iterator[PastVersion]:
    """The versions at some places in order, from the folder where they were kept there, else learned and kept."""
    makes = _from_scratch if learning == "scratch" else _chain
    return makes(history, places, folder, progress)


def _from_scratch(history: History, places: Sequence[int], folder: Path, progress: Progress) -> Iterator[PastVersion]:
    keys = {place: version_key(history, place, "scratch") for place in places}
    missing = [place for place in places if not is_kept(folder, keys[place])]
    for done, place in enumerate(missing):
        progress("learning from scratch", done, len(missing))
        classes = history.classes(range(place + 1))
        plan = replace(plan_of(history, classes), update=Scratch())
        candidate = bootstrap(plan, history.training_samples(range(place + 1), classes))
        save_draft(folder / keys[place], candidate, classes)
    progress("learning from scratch", len(missing), len(missing))
    for place in places:
        candidate, classes = load_draft(folder / keys[place])
        yield PastVersion(place, keys[place], candidate, classes)


def _chain(history: History, places: Sequence[int], folder: Path, progress: Progress) -> Iterator[PastVersion]:
    version: PastVersion | None = None
    for done, place in enumerate(places):
        progress("learning one after another", done, len(places))
        key = version_key(history, place, "chain")
        if is_kept(folder, key):
            version = PastVersion(place, key, *load_draft(folder / key))
        else:
            candidate, classes = next_candidate(history, place, version)
            save_draft(folder / key, candidate, classes)
            version = PastVersion(place, key, candidate, classes)
        yield version
    progress("learning one after another", len(places), len(places))


def next_candidate(history: History, place: int, before: PastVersion | None) -> tuple[Candidate, Classes]:
    """What the loop would learn at a place: a first version, an update, or where classes are new a retrain."""
    everything = range(place + 1)
    if before is None or _unknown(history, place, before.classes):
        classes = history.classes(everything)
        samples, plan = history.training_samples(everything, classes), plan_of(history, classes)
        return bootstrap(plan, samples) if before is None else retrain(plan, before.candidate, samples), classes
    since = everything if learns_from_history(history.config.update) else range(before.place + 1, place + 1)
    samples = history.training_samples(since, before.classes)
    return update(plan_of(history, before.classes), before.candidate, samples), before.classes


def plan_of(history: History, classes: Classes) -> LearningPlan:
    """The pipeline's plan of learning for these classes."""
    config = history.config
    return LearningPlan(config.model, config.training, config.update, config.task, len(classes) if classes else 1)


def is_kept(folder: Path, key: str) -> bool:
    """Whether a version was learned before; one that was being written when its process died was not."""
    return any(path.name.isdigit() for path in (folder / key / "checkpoint").glob("*"))


def _unknown(history: History, place: int, classes: Classes) -> bool:
    found = history.rows(range(place, place + 1))[history.schema.target]
    return classes is not None and bool(set(found.drop_nulls().unique()) - set(classes))
