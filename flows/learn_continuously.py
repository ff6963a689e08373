"""The loop: every waiting batch through ingest, validate, store, watch, decide, learn, judge, export and promote."""

from pathlib import Path
from typing import Any

from prefect import flow, get_run_logger

from data.sources import Arrival, iter_arrivals
from deployments.labels import holds_labels
from deployments.ladder import Rung, next_rung
from deployments.line import Line, open_line
from deployments.outcomes import Batch, Watched
from deployments.report import build_report
from deployments.settings import Settings
from monitoring.causes import Triage
from monitoring.config import LearningAction
from monitoring.policies import Decision
from monitoring.terminal import batch_line, open_console
from tasks.compare import compare_batch, retrain_compared_with
from tasks.confirm import confirm_champion
from tasks.decide import decide_on_batch
from tasks.export import export_candidate, export_shadow
from tasks.finish import finish_batch
from tasks.ingest import ingest_arrival
from tasks.judge import judge_candidate
from tasks.labels import take_late_labels
from tasks.learn import learn_from_batch
from tasks.promote import log_refused, promote_candidate
from tasks.revoke import revoke_champion
from tasks.store import store_batch
from tasks.triage import triage_batch
from tasks.validate import validate_batch
from tasks.watch import watch_batch, watch_late_labels


@flow(name="learn-continuously", flow_run_name="{pipeline}")
def learn_continuously(
    pipeline: str,
    sources: list[str],
    batch_rows: int | None = None,
    action: LearningAction | None = None,
    compare: bool = False,
    seed: int | None = None,
    home: str | None = None,
) -> dict[str, Any]:
    """Take all that waits in the sources through the loop, one batch after another.

    Args:
        pipeline: the pipeline file.
        sources: files, or folders whose finished files are taken in order of name; labels for earlier rows among them.
        batch_rows: cut long files into batches of so many rows.
        action: what a person asks for, whatever the triggers say.
        compare: also score a static, a cumulative and a sliding retrain.
        seed: take this seed instead of the pipeline's.
        home: where lehr keeps its state.
    """
    settings = Settings() if home is None else Settings(home=Path(home))
    paths = [Path(source) for source in sources]
    with open_line(Path(pipeline), settings, iter_arrivals(paths, batch_rows), seed) as line:
        records = [learn_from_arrival(line, arrival, action, compare) for arrival in iter_arrivals(paths, batch_rows)]
        return build_report(line.name, line.config.task, line.config.metric, records)


def learn_from_arrival(line: Line, arrival: Arrival, action: LearningAction | None, compare: bool) -> dict[str, Any]:
    """One batch through the loop; returns its record for the report."""
    batch, finished = ingest_arrival(line, arrival)
    record = finished or _learn_from_batch(line, batch, action, compare, late=holds_labels(arrival, line.schema))
    text = batch_line(record, line.config.metric)
    open_console().print(text)
    get_run_logger().info(text.plain)
    return record


def _learn_from_batch(
    line: Line, batch: Batch, action: LearningAction | None, compare: bool, late: bool
) -> dict[str, Any]:
    watched, triaged = _take_labels(line, batch) if late else _take_rows(line, batch)
    if watched is not None:
        faulty = triaged is not None and triaged.faulty
        if not faulty:
            revoke_champion(line, batch, watched, confirm_champion(line, batch) if late else None)
        if compare:
            compare_batch(line, batch)
        decision = decide_on_batch(line, batch, watched, triaged, action)
        if faulty or not _promote_shadow(line, batch, watched):
            _climb(line, batch, decision)
        if compare:
            retrain_compared_with(line, batch)
    return finish_batch(line, batch)


def _take_rows(line: Line, batch: Batch) -> tuple[Watched | None, Triage | None]:
    """Store a batch, watch it and name what happened to it; None where it was refused."""
    validated = validate_batch(line, batch)
    if validated.refusal is not None:
        return None, None
    store_batch(line, batch)
    watched = watch_batch(line, batch)
    return watched, triage_batch(line, batch, validated)


def _take_labels(line: Line, batch: Batch) -> tuple[Watched | None, None]:
    """Join late labels to their rows and watch what they say of the champion; None where they found no row."""
    taken = take_late_labels(line, batch)
    return (watch_late_labels(line, batch, taken) if taken.rows else None), None


def _promote_shadow(line: Line, batch: Batch, watched: Watched) -> bool:
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


def _climb(line: Line, batch: Batch, decision: Decision) -> None:
    """Try one rung of the ladder after another until the gate is content."""
    tried: tuple[Rung, ...] = ()
    champion_holds = False
    while rung := next_rung(decision.action, tried, champion_holds):
        tried = (*tried, rung)
        if learn_from_batch(line, batch, rung) is None:
            continue
        exported = export_candidate(line, batch, rung)
        judged = judge_candidate(line, batch, rung, exported)
        if judged.verdict.passed:
            promote_candidate(line, batch, rung, exported, judged, decision)
            return
        log_refused(line, batch, rung, exported, judged)
        champion_holds = judged.champion_holds
