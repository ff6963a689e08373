"""Ingest: a batch gets its number, and its bytes are kept until it is done."""

from typing import Any

from prefect import task
from prefect.cache_policies import NO_CACHE

from data.landing import land
from data.sources import Arrival
from deployments.attempts import count_attempt
from deployments.line import AnyLine
from deployments.outcomes import Batch
from deployments.report import duplicate_record


@task(name="ingest", task_run_name="ingest {arrival.name}", cache_policy=NO_CACHE)
def ingest_arrival(line: AnyLine, arrival: Arrival) -> tuple[Batch, dict[str, Any] | None]:
    """Number the batch; one that was finished before is a duplicate, whose record comes back at once."""
    row = line.ledger.open_batch(line.name, arrival.id, arrival.name)
    batch = Batch(row.number, row.batch_id, row.name)
    if line.ledger.step(line.name, arrival.id, "finish") is not None:
        champion = line.ledger.champion(line.name)
        return batch, duplicate_record(batch, arrival.name, champion.version if champion else None)
    count_attempt(line.ledger, line.name, arrival.id)
    land(line.landing, arrival)
    return batch, None
