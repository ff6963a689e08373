"""What each step of the loop says it did: the values that the ledger's journal keeps."""

from dataclasses import dataclass
from typing import Literal

from monitoring.drift import DriftReport


@dataclass(frozen=True)
class Batch:
    """A batch by its number in the pipeline, the SHA-256 of its content and the name it came under."""

    number: int
    id: str
    name: str


@dataclass(frozen=True)
class Validated:
    """What validation let through; a refusal is the reason why the whole batch was quarantined."""

    rows: int
    rows_quarantined: int
    refusal: str | None
    warnings: tuple[str, ...]


@dataclass(frozen=True)
class Stored:
    """The Delta version that holds the batch, and how many of its rows may be learned from and judge."""

    delta_version: int
    rows_train: int
    rows_holdout: int


@dataclass(frozen=True)
class Watched:
    """How the champion did on the batch before anything learned from it; all None before the first champion."""

    champion: int | None
    score_before: dict[str, float] | None
    score_no_change: float | None
    drift: DriftReport | None
    unknown_classes: tuple[str, ...]
    drift_page: str | None


@dataclass(frozen=True)
class Learned:
    """A candidate: its version number, the rung that made it and what it cost."""

    version: int
    rung: Literal["bootstrap", "patch", "update", "retrain"]
    samples: int
    seconds: float


@dataclass(frozen=True)
class Compared:
    """Scores on the batch of what else one could have done, and what the cumulative retrain cost."""

    score_static: float | None
    score_retrained: float | None
    score_sliding: float | None
    samples: int
    seconds: float
