"""The versions of a history: one for the batches up to each, learned once and kept by the content of what made it."""

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, wait
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path
from queue import Queue
from typing import Any, Literal

from deployments.drafts import Classes, load_draft, save_draft
from deployments.history import History
from learning.candidate import Candidate
from learning.config import Scratch, UpdateConfig
from learning.learn import bootstrap, bootstrap_many, learns_from_history, retrain, update
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
    history: History, places: Sequence[int], learning: Learning, folder: Path, progress: Progress, processes: int = 1
) -> Iterator[PastVersion]:
    """The versions at some places in order, from the folder where they were kept there, else learned and kept.

    processes: how many learn at once; a chain is learned by one.
    """
    if learning == "chain":
        return _chain(history, places, folder, progress)
    return _from_scratch(history, places, folder, progress, processes)


def _from_scratch(
    history: History, places: Sequence[int], folder: Path, progress: Progress, processes: int
) -> Iterator[PastVersion]:
    missing = [place for place in places if not is_kept(folder, version_key(history, place, "scratch"))]
    shares = [missing[first::processes] for first in range(min(processes, len(missing)))]
    progress("learning from scratch", 0, len(missing))
    for done, _ in enumerate(_learn_shares(history, shares, folder), start=1):
        progress("learning from scratch", done, len(missing))
    for place in places:
        key = version_key(history, place, "scratch")
        yield PastVersion(place, key, *load_draft(folder / key))


def _learn_shares(history: History, shares: Sequence[Sequence[int]], folder: Path) -> Iterator[int]:
    """The places, as they are learned and kept: one share here, several in a process each."""
    if len(shares) < 2:
        for share in shares:
            yield from _learn_share(history, share, folder)
        return
    context = get_context("forkserver")  # a fork of this process would take torch's threads along
    context.set_forkserver_preload([__name__])  # imported once for all of them
    with context.Manager() as manager, ProcessPoolExecutor(len(shares), context) as pool:
        done: Queue[int] = manager.Queue()
        running = [pool.submit(_tell_share, history.without_samples(), share, folder, done) for share in shares]
        for _ in range(sum(map(len, shares))):
            while done.empty():
                for process in running:
                    if process.done():
                        process.result()  # raises what ended it
                wait(running, timeout=0.1)
            yield done.get()


def _tell_share(history: History, places: Sequence[int], folder: Path, done: "Queue[int]") -> None:
    for place in _learn_share(history, places, folder):
        done.put(place)


def _learn_share(history: History, places: Sequence[int], folder: Path) -> Iterator[int]:
    """Learn places of the same classes together, as many at once as pays."""
    by_classes: dict[tuple[str, ...], list[int]] = {}
    for place in places:
        by_classes.setdefault(tuple(history.classes(range(place + 1)) or ()), []).append(place)
    for labels, group in by_classes.items():
        classes = list(labels) or None
        parts = [history.training_samples(range(place + 1), classes) for place in group]
        plan = replace(plan_of(history, classes), update=Scratch())
        for number, candidate in bootstrap_many(plan, parts):
            save_draft(folder / version_key(history, group[number], "scratch"), candidate, classes)
            yield group[number]


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
