"""What an expectation's JSON holds, and what its check says, whoever checked it."""

from dataclasses import dataclass
from typing import Literal, get_args

Severity = Literal["critical", "warning", "info"]
SEVERITIES: tuple[Severity, ...] = get_args(Severity)
KEYS = ("type", "kwargs", "severity", "meta", "id", "notes", "description")


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
