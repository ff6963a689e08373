"""Versions that are or were in production, opened for scoring and for learning on."""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from deployments.export import load_state
from deployments.line import Line
from deployments.scoring import OnnxModel
from deployments.versions import load_version
from learning.candidate import Candidate
from learning.memory import Memory
from monitoring.reference import Reference


@dataclass(frozen=True)
class Version:
    """A version's exported network, its card, the reference for drift, and the state to go on learning from."""

    number: int
    card: dict[str, Any]
    model: OnnxModel
    reference: Reference
    candidate: Candidate

    @property
    def classes(self) -> list[str] | None:
        """The labels that its class numbers stand for; None for regression."""
        return self.card["classes"]


def champion_of(line: Line) -> Version | None:
    """The version in production; None before the first."""
    promotion = line.ledger.champion(line.name)
    return None if promotion is None else open_version(line.version_folder(promotion.version), promotion.version)


def first_champion_of(line: Line) -> Version | None:
    """The version that was in production first; None before it."""
    history = line.ledger.history(line.name)
    return open_version(line.version_folder(history[0].version), history[0].version) if history else None


@lru_cache(maxsize=4)
def open_version(folder: Path, number: int) -> Version:
    """Open a version's folder; raises ValueError where one of its files was changed."""
    files = load_version(folder)
    config, tensors = load_state(files.onnx)
    candidate = Candidate.from_state(config, tensors, Memory.from_frame(files.memory))
    return Version(number, files.card, OnnxModel(files.onnx), Reference.load(files.reference), candidate)
