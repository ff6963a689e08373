"""Promote: a candidate that passed the gate goes into production."""

from collections.abc import Callable
from functools import partial

from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.transactions import Transaction, transaction

from data.ledger import PromotionConflictError
from deployments.kinds import kind_of
from deployments.ladder import Rung
from deployments.line import AnyLine
from deployments.outcomes import Batch, Exported, Judged, Promoted
from deployments.promotion import SmokeTestError, log_version, promote_version, take_promotion_back
from monitoring.policies import Decision
from tasks.show import link_run
from tasks.step import step


@step("log", None)
def log_refused(line: AnyLine, batch: Batch, rung: Rung, exported: Exported, judged: Judged) -> None:
    """Log a refused candidate in MLflow, with what it was refused for."""
    link_run(line, log_version(line, batch, rung, exported, judged, register=False), exported.version)


@task(name="promote", task_run_name="promote {batch.name}", cache_policy=NO_CACHE)
def promote_candidate(
    line: AnyLine, batch: Batch, rung: Rung, exported: Exported, judged: Judged, decision: Decision
) -> Promoted | None:
    """Register the version in MLflow, swap the champion in the ledger, and let the alias follow.

    The swap and this step's line in the journal are written together. Where another version went live since this one
    was judged, by a rollback for instance, that one stays; and where what the alias leads to does not predict as the
    version did, the version before it goes live again. Both are written down, and None comes back. A run that follows
    one which ended in between looks at the alias and predicts through it again.
    """
    journal = line.ledger.journal(line.name, batch.id)
    if "conflict" in journal:
        return None
    if "promote" in journal:
        swap = partial(_still_live, line, Promoted(**journal["promote"]))
    else:
        run = log_version(line, batch, rung, exported, judged, register=True)
        link_run(line, run, exported.version)
        swap = partial(
            promote_version, line, batch, exported, judged, f"{rung} on {batch.name}: {decision.reason}", run
        )
    try:
        return _complete(line, swap, judged.champion)
    except (PromotionConflictError, SmokeTestError) as error:
        line.ledger.record_step(line.name, batch.id, "conflict", f"passed the gate, but {error}")
        return None


def _complete(line: AnyLine, swap: Callable[[], Promoted], previous: int | None) -> Promoted:
    """The swap, the alias and a prediction through it: all of them, or the ledger and the alias go back together."""
    with transaction() as together:
        promoted = swap()
        together.stage(promoted, on_rollback_hooks=[partial(_take_back, line, promoted, previous)])
        line.registry.project_champion(promoted.version)
        kind_of(line).smoke_test(promoted.version)
    return promoted


def _still_live(line: AnyLine, promoted: Promoted) -> Promoted:
    champion = line.ledger.champion(line.name)
    if champion is None or champion.sequence != promoted.sequence:
        raise PromotionConflictError(f"version {promoted.version} is no longer in production")
    return promoted


def _take_back(line: AnyLine, promoted: Promoted, previous: int | None, swap: Transaction) -> None:
    take_promotion_back(line, promoted, previous)
