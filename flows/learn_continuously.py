"""The loop: every waiting batch through ingest, validate, store, watch, decide, learn, judge, export and promote."""

from pathlib import Path
from typing import Any

from prefect import flow
from prefect.runtime import flow_run

from data.inbox import iter_waiting, take, waiting
from data.sources import Arrival, iter_arrivals
from deployments.kinds import check_action, kind_of, open_any_line
from deployments.line import AnyLine, Overrides, inbox_of, of_rows
from deployments.outcomes import Batch, Watched
from deployments.report import build_report
from deployments.settings import Settings
from monitoring.config import LearningAction, TriggerKind
from monitoring.policies import Decision
from tasks.climb import climb
from tasks.compare import compare_batch, retrain_compared_with
from tasks.decide import decide_on_batch
from tasks.export import export_shadow
from tasks.finish import finish_batch, tell_batch
from tasks.ingest import ingest_arrival
from tasks.judge import judge_candidate
from tasks.promote import log_refused, promote_candidate
from tasks.take import take_batch


def _run_name() -> str:
    return f"learn {Path(flow_run.parameters['pipeline']).stem}"


@flow(name="learn-continuously", flow_run_name=_run_name)
def learn_continuously(
    pipeline: str,
    sources: list[str] | None = None,
    batch_rows: int | None = None,
    action: LearningAction | None = None,
    compare: bool = False,
    seed: int | None = None,
    home: str | None = None,
) -> dict[str, Any]:
    """Take all that waits in the sources through the loop, one batch after another.

    Args:
        pipeline: the pipeline file.
        sources: files, or folders whose finished files are taken in order of name, labels for earlier rows among
            them; by default the pipeline's inbox, whose files are moved into its folder `taken` once they are done.
        batch_rows: cut long files into batches of so many rows.
        action: what a person asks for, whatever the triggers say.
        compare: also score a static, a cumulative and a sliding retrain.
        seed: take this seed instead of the pipeline's.
        home: where lehr keeps its state.
    """
    settings = Settings() if home is None else Settings(home=Path(home))
    if sources is None:
        return learn_from_inbox(Path(pipeline), settings, batch_rows, action)
    paths = [Path(source) for source in sources]
    with open_any_line(Path(pipeline), settings, iter_arrivals(paths, batch_rows), Overrides(seed)) as line:
        if compare:
            of_rows(line)
        check_action(line, action)
        records = [learn_from_arrival(line, arrival, action, compare) for arrival in iter_arrivals(paths, batch_rows)]
        return build_report(line.name, line.config.task, line.config.metric, records)


def learn_from_inbox(
    pipeline: Path, settings: Settings, batch_rows: int | None = None, action: LearningAction | None = None
) -> dict[str, Any]:
    """Take all that waits in the pipeline's inbox through the loop; a file that is done is moved away."""
    inbox = inbox_of(pipeline, settings)
    if not waiting(inbox):
        return {"pipeline": pipeline.stem, "batches": []}
    with open_any_line(pipeline, settings, iter_waiting(inbox, batch_rows)) as line:
        check_action(line, action)
        records: list[dict[str, Any]] = []
        for file in waiting(inbox):  # another run may have taken some while this one waited for the line
            arrivals = iter_arrivals([file], batch_rows)
            records += [learn_from_arrival(line, arrival, action, compare=False) for arrival in arrivals]
            take(file)
        return build_report(line.name, line.config.task, line.config.metric, records)


def learn_from_arrival(line: AnyLine, arrival: Arrival, action: LearningAction | None, compare: bool) -> dict[str, Any]:
    """One batch through the loop; returns its record for the report."""
    batch, finished = ingest_arrival(line, arrival)
    late = kind_of(line).brings_labels(arrival)
    return tell_batch(line, finished or _learn_from_batch(line, batch, action, compare, late))


def _learn_from_batch(
    line: AnyLine, batch: Batch, action: LearningAction | None, compare: bool, late: bool
) -> dict[str, Any]:
    fired: tuple[TriggerKind, ...] = ()
    watched, triaged = take_batch(line, batch, late)
    if watched is not None:
        if compare:
            compare_batch(of_rows(line), batch)
        decision = decide_on_batch(line, batch, watched, triaged, action)
        fired = decision.fired
        promoted = not (triaged is not None and triaged.faulty) and _promote_shadow(line, batch, watched)
        if not promoted and (passed := climb(line, batch, decision.action)):
            promote_candidate(line, batch, passed.rung, passed.exported, passed.judged, decision)
        if compare:
            retrain_compared_with(of_rows(line), batch)
    return finish_batch(line, batch, fired)


def _promote_shadow(line: AnyLine, batch: Batch, watched: Watched) -> bool:
    """Put the version in the shadow into production once it has proven itself; whether it went there."""
    rivalry = watched.rivalry
    if rivalry is None or rivalry.role != "shadow" or not rivalry.wager.proven:
        return False
    exported = export_shadow(line, batch, "shadow", rivalry.rival)
    judged = judge_candidate(line, batch, "shadow", exported, rivalry.wager.wealth)
    if not judged.verdict.passed:
        log_refused(line, batch, "shadow", exported, judged)
        return False
    return promote_candidate(line, batch, "shadow", exported, judged, Decision("update", rivalry.text)) is not None
