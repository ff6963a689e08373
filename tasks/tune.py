"""Tune: the search as a step of its own, its pick as a candidate before the gate, and what a person sees of it."""

from typing import Any

from prefect import task
from prefect.artifacts import create_link_artifact, create_markdown_artifact, create_table_artifact
from prefect.cache_policies import NO_CACHE

from deployments.kinds import kind_of
from deployments.line import AnyLine
from deployments.outcomes import Batch, Passed
from deployments.registry import Registry
from deployments.settings import Settings
from deployments.tuning import Budget, Tunable, attach_page, log_search, tune
from monitoring.tuning_markdown import tuning_markdown
from monitoring.tuning_terminal import trial_rows
from tasks.export import export_candidate
from tasks.judge import judge_candidate
from tasks.learn import learn_from_batch
from tasks.promote import log_refused
from tasks.show import artifact_key
from tasks.step import step


@step("tune", dict[str, Any])
def search_parameters(
    line: AnyLine, batch: Batch, settings: Settings, budget: Budget, given: Tunable | None = None
) -> dict[str, Any]:
    """Search on what is given, or on all that the pipeline may learn from up to the batch."""
    found = tune(kind_of(line).tunable(batch) if given is None else given, settings, budget)
    log_search(line.registry, found)
    return found


def judge_tuned(line: AnyLine, batch: Batch) -> Passed | None:
    """Learn with what was found, from fresh weights, and hold the candidate against all that the gate asks."""
    if learn_from_batch(line, batch, "tune") is None:
        return None
    exported = export_candidate(line, batch, "tune")
    judged = judge_candidate(line, batch, "tune", exported)
    if judged.verdict.passed:
        return Passed("tune", exported, judged)
    log_refused(line, batch, "tune", exported, judged)
    return None


@task(name="show search", cache_policy=NO_CACHE)
def show_search(found: dict[str, Any], registry: Registry | None = None) -> None:
    """The pick and the trials on the run's page, and the plots with the study's run in MLflow, where it has one."""
    name = found["pipeline"]
    create_markdown_artifact(tuning_markdown(found), key=artifact_key("tuning", name), description="the pick and why")
    create_table_artifact(
        trial_rows(found),
        key=artifact_key("trials", name),
        description="every point at its longest training, the best first",
    )
    if registry is not None:
        run_id = attach_page(registry, found)
        if registry.pages is not None:
            create_link_artifact(
                registry.run_address(run_id), "the study in MLflow", key=artifact_key("mlflow-tuning", name)
            )
