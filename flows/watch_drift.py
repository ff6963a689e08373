"""Watching without learning: what waits is validated, stored and watched; what is due is left to a retrain."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from prefect import flow
from prefect.runtime import flow_run

from data.inbox import iter_waiting, take, waiting
from data.sources import Arrival, iter_arrivals
from deployments.kinds import kind_of, open_any_line
from deployments.line import AnyLine, inbox_of, open_ledger, read_line
from deployments.outcomes import Batch
from deployments.pipeline import PipelineConfig
from deployments.pipeline_files import load_pipeline
from deployments.report import build_report
from deployments.settings import Settings
from monitoring.config import TriggerKind
from tasks.decide import decide_on_batch
from tasks.finish import finish_batch, tell_batch
from tasks.ingest import ingest_arrival
from tasks.served import watch_what_is_served
from tasks.take import take_batch


def _run_name() -> str:
    return f"watch {Path(flow_run.parameters['pipeline']).stem}"


@flow(name="watch-drift", flow_run_name=_run_name)
def watch_drift(pipeline: str, home: str | None = None) -> dict[str, Any]:
    """Take what waits in the inbox as far as the watching, and announce what was seen.

    Where the pipeline's triggers call for learning, the event of their cause (`lehr.drift.detected`,
    `lehr.performance.dropped`, or `lehr.batch.accepted` where enough rows have come) is labelled as due, and the
    deployment `retrain` starts from it. Before the first champion nothing is taken: that is the loop's. What the
    champion is asked for is watched too, once a day or as it doubles, and announced when it begins to drift.

    Args:
        pipeline: the pipeline file.
        home: where lehr keeps its state.
    """
    settings = Settings() if home is None else Settings(home=Path(home))
    _watch_served(Path(pipeline), settings)
    inbox = inbox_of(Path(pipeline), settings)
    if not waiting(inbox):
        return {"pipeline": Path(pipeline).stem, "batches": []}
    with open_any_line(Path(pipeline), settings, iter_waiting(inbox)) as line:
        records: list[dict[str, Any]] = []
        for file in waiting(inbox) if line.ledger.champion(line.name) else []:
            records += [_watch_arrival(line, arrival) for arrival in iter_arrivals([file])]
            take(file)
        return build_report(line.name, line.config.task, line.config.metric, records)


def _watch_served(pipeline: Path, settings: Settings) -> None:
    config = load_pipeline(pipeline)
    if isinstance(config, PipelineConfig) and open_ledger(settings).champion(config.name) is not None:
        watch_what_is_served(read_line(pipeline, settings), datetime.now(UTC))


def _watch_arrival(line: AnyLine, arrival: Arrival) -> dict[str, Any]:
    batch, finished = ingest_arrival(line, arrival)
    return tell_batch(line, finished or _watch_batch(line, batch, kind_of(line).brings_labels(arrival)))


def _watch_batch(line: AnyLine, batch: Batch, late: bool) -> dict[str, Any]:
    fired: tuple[TriggerKind, ...] = ()
    due = False
    watched, triaged = take_batch(line, batch, late)
    if watched is not None:
        decision = decide_on_batch(line, batch, watched, triaged, None)
        fired, due = decision.fired, decision.action != "none"
    return finish_batch(line, batch, fired, due)
