"""What a retraining job does by itself: check the file that was sent, and train on it.

A job has a folder. `given` holds the lesson and the files that were sent; `work` is the only place that this writes
to, so that it can be done where nothing else may be written: in a child without a network, or in a container.
"""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from data.files import write_whole
from data.landing import sound_rows
from data.readers import BadBatch, read_batch, read_columns
from data.schema import resolve_schema
from data.sources import Arrival, Format
from data.splits import mark_rows
from data.suite import infer_suite, load_suite
from data.validation import ValidationReport, validate
from deployments.adoption import before_the_first_batch
from deployments.drafts import save_draft
from deployments.pipeline import PipelineConfig
from deployments.sent_models import SentModel, as_packed, open_sent
from deployments.training import StoredData, prepare
from learning.callbacks import Callback
from learning.candidate import Candidate
from learning.config import Scratch
from learning.fitting import fit
from learning.learn import first_candidate, update
from learning.randomness import seeded
from learning.resume import Checkpoints
from learning.state import TrainingState
from learning.strategies.scratch import fresh_network

CHECKPOINT_SECONDS = 2.0
Tell = Callable[[dict[str, Any]], None]


class Lesson(BaseModel):
    """What is to be learned: by which pipeline, from which file, as which of the pipeline's batches.

    columns: those declared for the pipeline; None: the file's. model: the file to go on from, in `given`; origin: the
    name that it came under. known: it is a version of this pipeline, and its batches are the pipeline's.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    config: dict[str, Any]
    columns: list[str] | None
    name: str
    format: Format
    sha256: str
    number: int
    model: str | None = None
    origin: str | None = None
    known: bool = False


class Outcome(BaseModel):
    """How a job's training ended; reason: why there is no candidate."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    reason: str | None
    rows: int = 0
    rows_quarantined: int = 0
    notes: list[str] = []


@dataclass(frozen=True)
class JobFolder:
    """Where a job's files lie."""

    path: Path

    @property
    def given(self) -> Path:
        """What came, and is only read."""
        return self.path / "given"

    @property
    def work(self) -> Path:
        """What the training writes."""
        return self.path / "work"

    @property
    def draft(self) -> Path:
        """The candidate."""
        return self.work / "draft"

    @property
    def packed(self) -> Path:
        """The model that was sent, as a packed ONNX file."""
        return self.work / "sent.onnx"

    @property
    def progress(self) -> Path:
        """What happens, one JSON object a line."""
        return self.work / "progress.jsonl"

    def lesson(self) -> Lesson:
        """What is to be learned."""
        return Lesson.model_validate_json((self.given / "lesson.json").read_bytes())

    def arrival(self, lesson: Lesson) -> Arrival:
        """The file that was sent; raises ValueError where it is not the one that came."""
        arrival = Arrival(lesson.name, (self.given / f"data.{lesson.format}").read_bytes(), lesson.format)
        if arrival.id != lesson.sha256:
            raise ValueError(f"{lesson.name} was changed since it came")
        return arrival

    def outcome(self) -> Outcome | None:
        """How the training ended; None where it has not, or was interrupted."""
        try:
            return Outcome.model_validate_json((self.work / "outcome.json").read_bytes())
        except FileNotFoundError:
            return None


def train_job(folder: JobFolder) -> None:
    """Check, train, and leave a candidate's draft and the outcome in `work`; a training that was killed goes on."""
    with folder.progress.open("w", encoding="utf-8") as progress:

        def tell(what: dict[str, Any]) -> None:
            progress.write(json.dumps(what) + "\n")
            progress.flush()

        outcome = _train(folder, folder.lesson(), tell)
    write_whole(folder.work / "outcome.json", outcome.model_dump_json().encode())


def _train(folder: JobFolder, lesson: Lesson, tell: Tell) -> Outcome:
    tell({"stage": "validating"})
    try:
        config = PipelineConfig.parse(lesson.config, "the job")
        model = _open_model(folder, lesson, config)
        data, report = _check(folder, lesson, config, model)
        tell({"stage": "training"})
        if model is None:
            candidate = _from_scratch(data, Checkpoints(folder.work / "checkpoints", CHECKPOINT_SECONDS), tell)
        else:
            write_whole(folder.packed, as_packed(model, data))
            candidate = _fine_tune(data, lesson, model, tell)
    except (ValueError, FloatingPointError) as error:
        return Outcome(reason=str(error))
    save_draft(folder.draft, candidate, data.classes)
    notes = [*(finding.text for finding in report.findings), *candidate.notes]
    return Outcome(reason=None, rows=data.rows.height, rows_quarantined=len(report.reasons), notes=notes)


def _check(
    folder: JobFolder, lesson: Lesson, config: PipelineConfig, model: SentModel | None
) -> tuple[StoredData, ValidationReport]:
    """The file's sound rows by the pipeline's own suite, split as the loop splits its batches."""
    arrival, suite_path = folder.arrival(lesson), folder.given / "suite.json"
    try:
        schema = resolve_schema(config.data, config.task, lesson.columns or read_columns(arrival))
        frame = read_batch(arrival, schema)
    except BadBatch as bad:
        raise ValueError(f"{lesson.name}: {bad.reason}") from None
    suite = load_suite(suite_path) if suite_path.exists() else infer_suite(frame, schema)
    length, share = config.data.window.length, config.validation.max_quarantined_share
    report = validate(frame, schema, suite, share, length)
    if report.refusal is not None:
        raise ValueError(f"{lesson.name}: {report.refusal}")
    if model is not None and model.features != schema.features:
        said = f"the pipeline reads {', '.join(schema.features)}"
        raise ValueError(f"the model reads {', '.join(model.features)}; {said}")
    rows = mark_rows(sound_rows(frame, schema.group, report.reasons), config.data, lesson.number)
    return prepare(config, schema, rows, model.classes if model else None), report


def _open_model(folder: JobFolder, lesson: Lesson, config: PipelineConfig) -> SentModel | None:
    if lesson.model is None:
        return None
    if isinstance(config.update, Scratch):
        raise ValueError("update.strategy: scratch learns from fresh weights; send the file without a model")
    card = folder.given / "card.json"
    model = open_sent(folder.given / lesson.model, card.read_bytes() if card.exists() else None)
    for what, own, asked in (
        ("task", model.config.task, config.task),
        ("target", model.config.data.target, config.data.target),
        ("window", model.config.data.window.length, config.data.window.length),
    ):
        if own != asked:
            raise ValueError(f"the model's {what} is {own}, the pipeline's {asked}")
    return model


def _from_scratch(data: StoredData, checkpoints: Checkpoints, tell: Tell) -> Candidate:
    """What `bootstrap` makes of the data; interrupted, it goes on to the bit."""
    plan = data.plan
    with seeded(plan.training.seed, int(data.train.batches_B.max())):
        network = fresh_network(plan, data.train)
        training = fit(network, data.train, plan.training, [_Teller(tell)], checkpoints)
        return first_candidate(plan, data.train, network, training)


def _fine_tune(data: StoredData, lesson: Lesson, model: SentModel, tell: Tell) -> Candidate:
    candidate = model.candidate if lesson.known else before_the_first_batch(model.candidate)
    if candidate.trained_through >= lesson.number:
        raise ValueError(f"the model has learned from {lesson.name} before, as batch {lesson.number}")
    tuned = update(data.plan, candidate, data.train)
    for metrics in tuned.history:
        tell({"epoch": asdict(metrics), "total_epochs": len(tuned.history)})
    return tuned


class _Teller(Callback):
    """Tells of each epoch."""

    def __init__(self, tell: Tell) -> None:
        self._tell = tell

    def epoch_end(self, state: TrainingState) -> None:
        """The epoch's metrics, and how many epochs there are at most."""
        self._tell({"epoch": state.history[-1].to_dict(), "total_epochs": state.config.epochs})
