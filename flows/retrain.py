"""A retrain that was asked for: by a person from a form, or by an event of drift, dropped performance or rows."""

from pathlib import Path
from typing import Annotated, Any

from prefect import flow
from prefect.runtime import flow_run
from pydantic import Field

from deployments.kinds import check_action, open_any_line
from deployments.line import AnyLine, Overrides, open_ledger
from deployments.outcomes import Batch, Passed
from deployments.pipeline_files import load_pipeline
from deployments.requests import open_request
from deployments.settings import Settings
from learning.config import Strategy
from monitoring.config import LearningAction
from monitoring.policies import Decision
from tasks.approve import wait_for_approval
from tasks.climb import climb
from tasks.promote import promote_candidate
from tasks.request import decide_on_request, finish_request


def _run_name() -> str:
    return f"retrain {Path(flow_run.parameters['pipeline']).stem}: {flow_run.parameters['reason']}"


@flow(name="retrain", flow_run_name=_run_name)
def retrain(
    pipeline: str,
    reason: Annotated[str, Field(min_length=1, max_length=500)] = "a person asked for it",
    action: LearningAction = "update",
    strategy: Strategy | None = None,
    epochs: Annotated[int, Field(ge=1, le=10_000)] | None = None,
    require_approval: bool = False,
    approval_minutes: Annotated[float, Field(gt=0, le=10_080)] = 60,
    run_key: str | None = None,
    home: str | None = None,
) -> dict[str, Any]:
    """Learn from what is stored, and put the candidate into production if the gate lets it through.

    Args:
        pipeline: the pipeline file.
        reason: why; it is kept in the history.
        action: patch blends anew without a gradient, update learns from what is new, retrain from everything stored.
        strategy: how to learn; by default as the pipeline file says.
        epochs: for how long a full retrain learns; by default as the pipeline file says.
        require_approval: ask a person before a candidate that passed the gate goes live.
        approval_minutes: how long to wait for that; without an answer the candidate is refused.
        run_key: a request that was begun before under this key goes on where it was.
        home: where lehr keeps its state.
    """
    settings = Settings() if home is None else Settings(home=Path(home))
    said = {"action": action, "reason": reason, "strategy": strategy, "epochs": epochs, "approval": require_approval}
    name = load_pipeline(Path(pipeline)).name
    batch, asked = open_request(open_ledger(settings), name, run_key or str(flow_run.id), said)
    overrides = Overrides(epochs=asked["epochs"], strategy=asked["strategy"])
    with open_any_line(Path(pipeline), settings, [], overrides) as line:
        check_action(line, asked["action"])
        decision = decide_on_request(line, batch, Decision(asked["action"], asked["reason"]))
        passed = climb(line, batch, decision.action)
        if passed is None or not asked["approval"]:
            return _close(line, batch, passed, decision)
    # A person may take hours: meanwhile the line is free for the loop, and the swap finds out whether it moved on.
    passed, decision = wait_for_approval(line, batch, passed, decision, approval_minutes)
    with open_any_line(Path(pipeline), settings, [], overrides) as line:
        return _close(line, batch, passed, decision)


def _close(line: AnyLine, batch: Batch, passed: Passed | None, decision: Decision) -> dict[str, Any]:
    if passed is not None:
        promote_candidate(line, batch, passed.rung, passed.exported, passed.judged, decision)
    return finish_request(line, batch)
