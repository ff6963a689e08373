"""Approve: a person says whether a candidate that passed the gate goes into production."""

from dataclasses import replace

from prefect.exceptions import FlowPauseTimeout
from prefect.flow_runs import pause_flow_run
from prefect.input import RunInput
from pydantic import Field

from deployments.line import AnyLine
from deployments.outcomes import Approved, Batch, Passed
from deployments.report import verdict_markdown
from monitoring.policies import Decision
from tasks.step import step

POLL_SECONDS = 1


class Approval(RunInput):
    """The form that a person fills in."""

    approve: bool = Field(description="put this version into production")
    reason: str = Field(min_length=1, description="why; it is kept in the history")


@step("approve", Approved)
def ask_approval(line: AnyLine, batch: Batch, passed: Passed, minutes: float) -> Approved:
    """Pause the run until a person answers; without an answer in time the candidate is refused."""
    verdict = verdict_markdown(line.name, batch, passed.rung, passed.exported, passed.judged)
    form = Approval.with_initial_data(description=verdict)
    seconds, key = round(60 * minutes), f"approve-{passed.exported.version}"
    try:
        answer = pause_flow_run(wait_for_input=form, timeout=seconds, poll_interval=POLL_SECONDS, key=key)
    except FlowPauseTimeout:
        return Approved(False, f"nobody answered within {minutes:g} minutes")
    return Approved(answer.approve, answer.reason)


def wait_for_approval(
    line: AnyLine, batch: Batch, passed: Passed, decision: Decision, minutes: float
) -> tuple[Passed | None, Decision]:
    """What may go into production once a person has answered, None where they said no; and the decision with why."""
    answer = ask_approval(line, batch, passed, minutes)
    return passed if answer.approve else None, replace(decision, reason=f"{decision.reason}; approved: {answer.reason}")
