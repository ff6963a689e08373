"""Job: the candidate that a retraining job trained elsewhere, taken as what was learned."""

from pathlib import Path

from prefect import task
from prefect.cache_policies import NO_CACHE

from deployments.adoption import adopt, known_model, open_packed
from deployments.drafts import load_draft, save_draft
from deployments.job_training import JobFolder, train_job
from deployments.ladder import Rung
from deployments.line import Line
from deployments.outcomes import Batch, Learned
from tasks.step import step


@task(name="train job", task_run_name="train {folder.name}", cache_policy=NO_CACHE)
def train_in_folder(folder: Path) -> None:
    """Check and train; what comes of it lies in the folder."""
    train_job(JobFolder(folder))


@task(name="adopt", cache_policy=NO_CACHE)
def adopt_sent(line: Line, packed: Path, origin: str) -> int | None:
    """The version that the sent model is; where nothing is in production yet, the model goes there first."""
    model = open_packed(packed.read_bytes())
    if line.ledger.champion(line.name) is None:
        return adopt(line, model, origin)
    known = known_model(line.ledger, line.folder, line.name, model.sha256)
    return None if known is None else known.version


@step("learn", Learned)
def take_draft(line: Line, batch: Batch, rung: Rung, folder: JobFolder) -> Learned:
    """Keep the job's candidate as the line's own draft until it is exported."""
    candidate, classes = load_draft(folder.draft)
    save_draft(line.draft_folder(batch.number, rung), candidate, classes)
    return Learned(candidate.cost.samples, candidate.cost.seconds, candidate.notes)
