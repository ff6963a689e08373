"""The commands that ask a service elsewhere: remote send, jobs, model, deliver, predict, follow.

The service's address and token come from LEHR_URL and LEHR_TOKEN.
"""

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

from cyclopts import App, Parameter
from rich.table import Table

from commands.opening import console
from commands.served import show_told
from service.calls import ServiceError
from service.client import Client

app = App(name="remote", help="Ask a service elsewhere; LEHR_URL and LEHR_TOKEN say which.")
Flag = Annotated[bool, Parameter(negative=())]


@app.command
def send(
    file: Path,
    *,
    pipeline: str | None = None,
    config: Path | None = None,
    site: str | None = None,
    model: Path | None = None,
    output: Path | None = None,
) -> None:
    """Send a file to learn from as a retraining job, and follow the job until it is over.

    Parameters
    ----------
    file
        A CSV (plain or gzip) or Parquet file.
    pipeline
        A pipeline of the service.
    config
        Instead: a pipeline file that goes with the job.
    site
        Whose file it is; each site has data, versions and a champion of its own.
    model
        What to go on from: an .onnx file of lehr's, or .safetensors with its card; default: from scratch.
    output
        Where to write the model if it passes the gate, as .onnx or .safetensors.
    """
    text = None if config is None else config.read_text(encoding="utf-8")
    with _client() as client:
        job_id = client.jobs.send(file, pipeline, text, site, model)["job_id"]
        console.print(job_id)
        job: dict[str, Any] = {}
        for job in client.jobs.follow(job_id):
            console.print(_line(job), highlight=False)
        if job["stage"] != "registered":
            raise ValueError(f"{job_id} {job['stage']}: {job['reason']}")
        if output is not None:
            console.print(f"model: {client.jobs.save_model(job_id, output)}")


@app.command
def jobs(job_id: str | None = None, *, site: str | None = None, remove: Flag = False) -> None:
    """List retraining jobs, or say all of one, or remove it.

    Parameters
    ----------
    job_id
        One job.
    site
        Only those of this site.
    remove
        End the job if it is not judged yet, and remove its files.
    """
    with _client() as client:
        if job_id is None:
            table = Table("job", "pipeline", "file", "stage", "reason")
            for job in client.jobs.all(site):
                table.add_row(job["job_id"], job["pipeline"], job["file"]["name"], job["stage"], job["reason"] or "")
            console.print(table)
        elif remove:
            client.jobs.remove(job_id)
            console.print(f"{job_id} is removed")
        else:
            console.print_json(data=client.jobs.get(job_id))


@app.command
def model(job_id: str, output: Path) -> None:
    """Fetch the model of a retraining job or of an epoch training.

    Parameters
    ----------
    job_id
        The job or training.
    output
        Where to write; .safetensors: weights with their card instead of ONNX.
    """
    with _client() as client:
        part = client.jobs if job_id.startswith("retraining") else client.trainings
        console.print(f"model: {part.save_model(job_id, output)}")


@app.command
def deliver(pipeline: str, file: Path, *, labels: Flag = False, new_classes: Flag = False) -> None:
    """Deliver a batch to a pipeline's inbox.

    Parameters
    ----------
    pipeline
        Its name.
    file
        A CSV (plain or gzip) or Parquet file.
    labels
        The file brings labels for rows that came before, or for the predictions that its column prediction_id names.
    new_classes
        The labels of predictions may be of classes that no version knows yet.
    """
    with _client() as client:
        place = client.pipelines
        answer = place.deliver_labels(pipeline, file, None, new_classes) if labels else place.deliver(pipeline, file)
        if "state" in answer:
            console.print(f"{answer['state']}: {answer['batch_id']}", soft_wrap=True)
        else:
            show_told(answer)


@app.command
def predict(pipeline: str, file: Path) -> None:
    """Predict each row of a file with what is in production, one line a row.

    Parameters
    ----------
    pipeline
        Its name.
    file
        A CSV file with the features in any order; an empty field is a missing reading.
    """
    import polars as pl

    with _client() as client:
        features = client.pipelines.describe(pipeline)["parameters"]["features"]
        rows = pl.read_csv(file).select(pl.col(features).cast(pl.Float32)).fill_null(float("nan")).to_numpy()
        found = client.predict(pipeline, rows, allow_missing=True)
        for answer in found.labels or found.outputs.tolist():
            console.print(answer, highlight=False, markup=False)
        console.print(f"version {found.version}, first receipt {found.receipt_id}", style="dim")


@app.command
def follow(task_id: str) -> None:
    """Follow an epoch training until it is over.

    Parameters
    ----------
    task_id
        As its start answered.
    """
    with _client() as client:
        for event in client.trainings.follow(task_id):
            progress = event.get("progress")
            if progress is None:
                console.print(f"{event['type']}: {event.get('message') or event.get('training_state') or ''}")
            else:
                loss = progress["latest_metrics"]["train_loss"]
                console.print(f"epoch {progress['current_epoch']} of {progress['total_epochs']}: loss {loss:.4g}")


@contextmanager
def _client() -> Generator[Client]:
    """The service; what it refuses is a mistake of the user's."""
    with Client() as client:
        try:
            yield client
        except ServiceError as error:
            raise ValueError(str(error)) from None
        except OSError as error:
            raise ValueError(f"{error.filename}: {error.strerror}") from None


def _line(job: dict[str, Any]) -> str:
    progress = job["progress"]
    epoch = f": epoch {progress['current_epoch']} of {progress['total_epochs']}" if progress else ""
    reason = f": {job['reason']}" if job["reason"] else ""
    return f"{job['stage']}{epoch if job['stage'] == 'training' else ''}{reason}"
