"""A rollback that a person asked for."""

from pathlib import Path
from typing import Annotated, Any

from prefect import flow
from prefect.runtime import flow_run
from pydantic import Field

from deployments.kinds import open_any_line
from deployments.promotion import roll_back as put_back
from deployments.settings import Settings
from tasks.announce import announce_rollback


def _run_name() -> str:
    return f"roll back {Path(flow_run.parameters['pipeline']).stem}: {flow_run.parameters['reason']}"


@flow(name="roll-back", flow_run_name=_run_name)
def roll_back(
    pipeline: str,
    reason: Annotated[str, Field(min_length=1, max_length=500)],
    version: Annotated[int, Field(ge=1)] | None = None,
    home: str | None = None,
) -> dict[str, Any]:
    """Put an earlier version back into production.

    Args:
        pipeline: the pipeline file.
        reason: why; it is kept in the history.
        version: one that was in production before; by default the one that the champion replaced.
        home: where lehr keeps its state.
    """
    settings = Settings() if home is None else Settings(home=Path(home))
    with open_any_line(Path(pipeline), settings, []) as line:
        promotion = put_back(line.ledger, line.registry, line.name, reason, version)
        announce_rollback(line, promotion)
        return {"pipeline": line.name, "version": promotion.version, "was": promotion.previous, "reason": reason}
