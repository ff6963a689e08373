"""Tune: the search as a step of its own, and its pick as a candidate before the gate."""

from typing import Any

from deployments.line import Line
from deployments.outcomes import Batch, Passed
from deployments.settings import Settings
from deployments.tuning import Budget, Rows, log_search, rows_of_line, tune
from tasks.export import export_candidate
from tasks.judge import judge_candidate
from tasks.learn import learn_from_batch
from tasks.promote import log_refused
from tasks.step import step


@step("tune", dict[str, Any])
def search_parameters(
    line: Line, batch: Batch, settings: Settings, budget: Budget, rows: Rows | None = None
) -> dict[str, Any]:
    """Search on the rows that are given, or on all that the pipeline may learn from up to the batch."""
    found = tune(line.config, rows_of_line(line, batch) if rows is None else rows, settings, budget)
    log_search(line.registry, found)
    return found


def judge_tuned(line: Line, batch: Batch) -> Passed | None:
    """Learn with what was found, from fresh weights, and hold the candidate against all that the gate asks."""
    if learn_from_batch(line, batch, "tune") is None:
        return None
    exported = export_candidate(line, batch, "tune")
    judged = judge_candidate(line, batch, "tune", exported)
    if judged.verdict.passed:
        return Passed("tune", exported, judged)
    log_refused(line, batch, "tune", exported, judged)
    return None
