"""A promotion that a person asked for: a version of an earlier batch, through the same gate as any other."""

from pathlib import Path
from typing import Annotated, Any

from prefect import flow
from prefect.runtime import flow_run
from pydantic import Field

from deployments.kinds import open_any_line
from deployments.line import AnyLine, open_ledger
from deployments.outcomes import Batch, Passed
from deployments.pipeline_files import load_pipeline
from deployments.requests import open_request
from deployments.settings import Settings
from monitoring.policies import Decision
from tasks.approve import wait_for_approval
from tasks.export import export_shadow
from tasks.judge import judge_candidate
from tasks.promote import log_refused, promote_candidate
from tasks.request import finish_request, note_decision


def _run_name() -> str:
    return f"promote {Path(flow_run.parameters['pipeline']).stem} version {flow_run.parameters['version']}"


@flow(name="promote-model", flow_run_name=_run_name)
def promote_model(
    pipeline: str,
    version: Annotated[int, Field(ge=1)],
    reason: Annotated[str, Field(min_length=1, max_length=500)] = "a person asked for it",
    require_approval: bool = False,
    approval_minutes: Annotated[float, Field(gt=0, le=10_080)] = 60,
    run_key: str | None = None,
    home: str | None = None,
) -> dict[str, Any]:
    """Judge a version against the champion on all that is held out, and put it into production if it passes.

    Args:
        pipeline: the pipeline file.
        version: a registered version's number.
        reason: why; it is kept in the history.
        require_approval: ask a person once the gate is content.
        approval_minutes: how long to wait for that; without an answer the version is refused.
        run_key: a request that was begun before under this key goes on where it was.
        home: where lehr keeps its state.
    """
    settings = Settings() if home is None else Settings(home=Path(home))
    said = {"version": version, "reason": reason, "approval": require_approval}
    name = load_pipeline(Path(pipeline)).name
    batch, asked = open_request(open_ledger(settings), name, run_key or str(flow_run.id), said)
    with open_any_line(Path(pipeline), settings, []) as line:
        decision = note_decision(line, batch, Decision("update", asked["reason"]))
        passed = _judge(line, batch, asked["version"])
    if passed is not None and asked["approval"]:
        passed, decision = wait_for_approval(line, batch, passed, decision, approval_minutes)
    with open_any_line(Path(pipeline), settings, []) as line:
        if passed is not None:
            promote_candidate(line, batch, passed.rung, passed.exported, passed.judged, decision)
        return finish_request(line, batch)


def _judge(line: AnyLine, batch: Batch, version: int) -> Passed | None:
    exported = export_shadow(line, batch, "shadow", version)
    judged = judge_candidate(line, batch, "shadow", exported)
    if judged.verdict.passed:
        return Passed("shadow", exported, judged)
    log_refused(line, batch, "shadow", exported, judged)
    return None
