"""What was watched before: the evidence that a batch goes on from."""

from dataclasses import replace
from typing import Any

from deployments.line import AnyLine
from deployments.outcomes import WATCHED, Batch, Rivalry, Watched
from deployments.setting_aside import faulty_batches


def watched_before(line: AnyLine, batch: Batch) -> Watched | None:
    """What was watched of the latest sound batch before this one; None before any.

    A batch with a faulty sensor is no evidence.
    """
    faulty = faulty_batches(line.ledger, line.name)
    found = line.ledger.latest_outcome(line.name, "watch", batch.number, without=faulty)
    return None if found is None else WATCHED.validate_python(found)


def evidence_so_far(before: Watched | None, champion: int) -> tuple[Rivalry | None, dict[str, Any] | None]:
    """What the latest batch left of the rivals and of drift, if it had the same champion."""
    if before is None or before.champion != champion:
        return None, None
    rivalry = None if before.rivalry is None else replace(before.rivalry, ended=None)
    return rivalry, before.detector
