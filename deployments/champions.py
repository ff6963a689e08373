"""Versions that are or were in production, opened for scoring and for learning on."""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from deployments.export import load_state
from deployments.line import AnyLine, Line
from deployments.scoring import OnnxModel
from deployments.versions import load_card, load_version
from learning.candidate import Candidate
from learning.memory import Memory
from monitoring.reference import Reference

_AFTER_ALL = 2**31 - 1


@dataclass(frozen=True)
class Version:
    """A version's exported network, its card, the reference for drift, and the state to go on learning from."""

    number: int
    card: dict[str, Any]
    onnx: bytes
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
    return None if promotion is None else version_of(line, promotion.version)


def lineage_of(line: Line) -> Version | None:
    """The version that learning goes on from: the newest since the last promotion, refused or not, else the champion.

    A refused candidate has seen its batch and knows how far each half-life is to be trusted since; starting over from
    the champion would lose both. A rollback ends the lineage it takes back, and a shadow's deadline the one that did
    not prove itself. What a search found or a job trained, and the gate refused, is another network:
    nothing goes on from it.
    """
    number = lineage_number(line)
    return None if number is None else version_of(line, number)


def lineage_number(line: AnyLine) -> int | None:
    """The number of the version that learning goes on from."""
    promotion = line.ledger.champion(line.name)
    if promotion is None:
        return None
    newest = line.ledger.latest_version(line.name, promotion.at, without=["tune", "job"])
    return promotion.version if newest is None or newest <= _given_up(line) else newest


def learned_through(line: AnyLine) -> int | None:
    """The number of the last batch that the lineage learned from; None before the first champion."""
    number = lineage_number(line)
    return None if number is None else card_of(line, number)["trained_through"]


def card_of(line: AnyLine, number: int) -> dict[str, Any]:
    """What a registered version is and where it comes from; raises ValueError where its card was changed."""
    return load_card(line.version_folder(number), line.ledger.version_hash(line.name, number))


def onnx_of(line: AnyLine, number: int) -> bytes:
    """A registered version's file; raises ValueError where it is not what was registered."""
    return load_version(line.version_folder(number), line.ledger.version_hash(line.name, number)).onnx


def _given_up(line: AnyLine) -> int:
    """The newest version that the deadline of a shadow took out of the lineage; 0 where none was."""
    watched = line.ledger.latest_outcome(line.name, "watch", before=_AFTER_ALL)
    rivalry = None if watched is None else watched.get("rivalry")
    return 0 if rivalry is None else rivalry.get("given_up", 0)


def first_champion_of(line: Line) -> Version | None:
    """The version that was in production first; None before it."""
    history = line.ledger.history(line.name)
    return version_of(line, history[0].version) if history else None


def version_of(line: Line, number: int) -> Version:
    """A registered version; raises ValueError where one of its files is not what was registered."""
    return _open(line.version_folder(number), number, line.ledger.version_hash(line.name, number))


@lru_cache(maxsize=6)
def _open(folder: Path, number: int, sha256: str) -> Version:
    files = load_version(folder, sha256)
    config, tensors = load_state(files.onnx)
    candidate = Candidate.from_state(config, tensors, Memory.from_frame(files.memory))
    return Version(number, files.card, files.onnx, OnnxModel(files.onnx), Reference.load(files.reference), candidate)
