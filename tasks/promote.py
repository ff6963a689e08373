"""Promote: a candidate that passed the gate goes into production."""

from prefect import task
from prefect.cache_policies import NO_CACHE

from data.ledger import PromotionConflictError
from deployments.ladder import Rung
from deployments.line import Line
from deployments.outcomes import Batch, Exported, Judged, Promoted
from deployments.promotion import log_version, promote_version
from monitoring.policies import Decision
from tasks.step import step


@step("log", None)
def log_refused(line: Line, batch: Batch, rung: Rung, exported: Exported, judged: Judged) -> None:
    """Log a refused candidate in MLflow, with what it was refused for."""
    log_version(line, batch, rung, exported, judged, register=False)


@task(name="promote", task_run_name="promote {batch.name}", cache_policy=NO_CACHE)
def promote_candidate(
    line: Line, batch: Batch, rung: Rung, exported: Exported, judged: Judged, decision: Decision
) -> Promoted | None:
    """Register the version in MLflow, swap the champion in the ledger, and let the alias follow.

    The swap and this step's line in the journal are one transaction. Where another version went live since this one
    was judged, by a rollback for instance, that one stays: the conflict is written down, and None comes back.
    """
    journal = line.ledger.journal(line.name, batch.id)
    if "promote" in journal:
        return Promoted(**journal["promote"])
    if "conflict" in journal:
        return None
    run = log_version(line, batch, rung, exported, judged, register=True)
    try:
        promoted = promote_version(line, batch, exported, judged, f"{rung} on {batch.name}: {decision.reason}", run)
    except PromotionConflictError as conflict:
        line.ledger.record_step(line.name, batch.id, "conflict", f"passed the gate, but {conflict}")
        return None
    line.registry.project_champion(promoted.version)
    return promoted
