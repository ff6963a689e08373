"""Take: a batch or late labels as far as the watching, before anything is decided or learned."""

from deployments.line import AnyLine, Line, of_rows
from deployments.outcomes import Batch, Watched
from monitoring.causes import Triage
from tasks.confirm import confirm_champion
from tasks.labels import take_late_labels
from tasks.revoke import revoke_champion
from tasks.store import store_batch
from tasks.triage import triage_batch
from tasks.validate import validate_batch
from tasks.watch import watch_batch, watch_late_labels

Taken = tuple[Watched | None, Triage | None]


def take_batch(line: AnyLine, batch: Batch, late: bool) -> Taken:
    """Store what came, watch it and name what happened; None where it was refused, or labels found no row.

    late: the batch brings labels for rows of earlier ones. What the champion owes its place to is looked at again: its
    predecessor comes back where that proves to be the better one, unless a faulty sensor speaks.
    """
    watched, triaged = _take_labels(of_rows(line), batch) if late else _take_rows(line, batch)
    if watched is not None and not (triaged is not None and triaged.faulty):
        revoke_champion(line, batch, watched, confirm_champion(of_rows(line), batch) if late else None)
    return watched, triaged


def _take_rows(line: AnyLine, batch: Batch) -> Taken:
    validated = validate_batch(line, batch)
    if validated.refusal is not None:
        return None, None
    store_batch(line, batch)
    watched = watch_batch(line, batch)
    return watched, triage_batch(line, batch, validated, watched)


def _take_labels(line: Line, batch: Batch) -> Taken:
    taken = take_late_labels(line, batch)
    return (watch_late_labels(line, batch, taken) if taken.rows else None), None
