"""Judge: the gate's verdict on a candidate, shown on the run's page."""

from prefect.artifacts import create_markdown_artifact

from deployments.kinds import kind_of
from deployments.ladder import Rung
from deployments.line import AnyLine
from deployments.outcomes import Batch, Exported, Judged
from deployments.report import verdict_markdown
from tasks.step import step


@step("judge", Judged)
def judge_candidate(line: AnyLine, batch: Batch, rung: Rung, exported: Exported, wealth: float = 0.0) -> Judged:
    """Hold the candidate against all that the gate asks; wealth: what it has shown in the shadow, if it was there."""
    judged = kind_of(line).judge(batch, exported, wealth)
    key = f"verdict-{line.name}-{batch.number}-{rung}".replace("_", "-")
    create_markdown_artifact(verdict_markdown(line.name, batch, rung, exported, judged), key=key)
    return judged
