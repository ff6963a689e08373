"""A retraining job's candidate through the gate: its file becomes a batch of the pipeline, and the candidate a version.

`python -m flows.judge_job PIPELINE FOLDER JOB` is what the service starts; the result is left in the folder, also where
it is a mistake that trying again would not mend.
"""

import json
import sys
from pathlib import Path
from typing import Any

from prefect import flow

from data.files import write_whole
from data.sources import Arrival
from deployments.job_training import JobFolder, Lesson
from deployments.line import Line, open_line
from deployments.outcomes import Batch
from deployments.processes import die_with_parent
from deployments.requests import next_number, open_request
from deployments.settings import Settings
from monitoring.policies import Decision
from tasks.export import export_from
from tasks.finish import finish_batch, tell_batch
from tasks.ingest import ingest_arrival
from tasks.job import adopt_sent, take_draft
from tasks.judge import judge_candidate
from tasks.promote import log_refused, promote_candidate
from tasks.request import finish_request, note_decision
from tasks.take import take_batch


@flow(name="judge-job", flow_run_name="judge {job}")
def judge_job(pipeline: str, folder: str, job: str, home: str | None = None) -> dict[str, Any]:
    """Take a job's file as a batch as far as the watching, and its candidate through the gate into production.

    Args:
        pipeline: the pipeline file.
        folder: the job's folder.
        job: the job's id; judging that was begun before under it goes on where it was.
        home: where lehr keeps its state.
    """
    settings = Settings() if home is None else Settings(home=Path(home))
    files = JobFolder(Path(folder))
    lesson = files.lesson()
    try:
        arrival = files.arrival(lesson)
        with open_line(Path(pipeline), settings, [arrival]) as line:
            result = _judge(line, files, lesson, arrival, job)
    except ValueError as mistake:
        result = {"state": "failed", "reason": str(mistake)}
    write_whole(files.path / "judged.json", json.dumps(result).encode())
    return result


def _judge(line: Line, files: JobFolder, lesson: Lesson, arrival: Arrival, job: str) -> dict[str, Any]:
    if next_number(line.ledger, line.name, arrival.id) != lesson.number:
        return {"state": "outdated", "reason": "another batch came to the pipeline while the job trained"}
    said = f"{lesson.name}, {'from fresh weights' if lesson.origin is None else f'going on from {lesson.origin}'}"
    parent = None if lesson.origin is None else adopt_sent(line, files.packed, lesson.origin)
    reason = _take(line, arrival)
    if reason is not None:
        return {"state": "refused", "reason": f"{lesson.name} was quarantined: {reason}"}
    batch, _ = open_request(line.ledger, line.name, job, {"job": job, "file": lesson.sha256, "model": lesson.origin})
    decision = note_decision(line, batch, Decision("update", said))
    take_draft(line, batch, "job", files)
    exported = export_from(line, batch, "job", parent)
    judged = judge_candidate(line, batch, "job", exported)
    if judged.verdict.passed:
        promote_candidate(line, batch, "job", exported, judged, decision)
    else:
        log_refused(line, batch, "job", exported, judged)
    return _result(exported.version, finish_request(line, batch))


def _take(line: Line, arrival: Arrival) -> str | None:
    """Let the file be a batch of the pipeline, unless it is one already; why it is not; None: it is."""
    batch, finished = ingest_arrival(line, arrival)
    if finished is None:
        take_batch(line, batch, late=False)
        tell_batch(line, finish_batch(line, batch))
    return _refusal(line, batch)


def _refusal(line: Line, batch: Batch) -> str | None:
    record = line.ledger.journal(line.name, batch.id)["finish"]
    return record["reason"] if record["status"] == "quarantined" else None


def _result(version: int, record: dict[str, Any]) -> dict[str, Any]:
    failed = [check["text"] for check in record["gate"]["checks"] if not check["passed"]]
    reason = record["conflict"] or "; ".join(failed) or "all checks passed"
    state = "registered" if record["promoted"] else "refused"
    return {"state": state, "version": version, "champion": record["champion"], "reason": reason}


if __name__ == "__main__":
    die_with_parent()
    judge_job(*sys.argv[1:4])
