"""What the check of one expectation says, whoever checked it."""

from dataclasses import dataclass
from typing import Literal

Severity = Literal["critical", "warning", "info"]


@dataclass(frozen=True)
class Outcome:
    """What one expectation found in a batch.

    failing: how many rows break it, None where it is about the whole batch. rows: their indices, for critical
    expectations, also where `mostly` lets it pass. error: why it could not be checked at all.
    """

    expectation: str
    column: str | None
    severity: Severity
    met: bool
    failing: int | None
    rows: tuple[int, ...]
    observed: object
    error: str | None
