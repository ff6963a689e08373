"""Climb: one rung of the ladder after another until the gate is content."""

from deployments.ladder import Rung, next_rung
from deployments.line import AnyLine
from deployments.outcomes import Batch, Passed
from monitoring.config import Action
from tasks.export import export_candidate
from tasks.judge import judge_candidate
from tasks.learn import learn_from_batch
from tasks.promote import log_refused


def climb(line: AnyLine, batch: Batch, action: Action) -> Passed | None:
    """The first candidate that passes the gate; None where none does. Those refused are logged with their reasons."""
    tried: tuple[Rung, ...] = ()
    champion_holds = False
    while rung := next_rung(action, tried, champion_holds):
        tried = (*tried, rung)
        if learn_from_batch(line, batch, rung) is None:
            continue
        exported = export_candidate(line, batch, rung)
        judged = judge_candidate(line, batch, rung, exported)
        if judged.verdict.passed:
            return Passed(rung, exported, judged)
        log_refused(line, batch, rung, exported, judged)
        champion_holds = judged.champion_holds
    return None
