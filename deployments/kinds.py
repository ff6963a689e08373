"""What a pipeline's task makes of its batches: the one seam between the loop and rows or signals.

The steps of the loop, their order, journal, ledger, triggers, promotions and pages are the same for every task; they
ask the kind for what differs.
"""

from collections.abc import Generator, Iterable, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Protocol

from data.sources import Arrival
from deployments.ladder import Rung
from deployments.line import NO_OVERRIDES, AnyLine, Line, Overrides, check_line, open_line, read_line
from deployments.outcomes import Batch, Exported, Judged, Learned, Stored, Validated, Watched
from deployments.pipeline import PipelineConfig
from deployments.pipeline_files import load_pipeline
from deployments.predicting import Predicted
from deployments.row_kind import RowKind
from deployments.row_tuning import tunable_rows_of_source
from deployments.settings import Settings
from deployments.signal_kind import SignalKind
from deployments.signal_line import SignalLine, check_signal_line, open_signal_line, read_signal_line
from deployments.signal_tuning import tunable_signals_of_source
from deployments.tuning import Tunable
from learning.callbacks import Followed, Listener
from monitoring.causes import Triage
from monitoring.config import LearningAction


class Kind(Protocol):
    """What differs from task to task, on one pipeline."""

    def brings_labels(self, arrival: Arrival) -> bool:
        """Whether a file holds labels for rows that came earlier."""
        ...

    def validate(self, batch: Batch) -> Validated:
        """Read a landed batch, stage what is sound, quarantine the rest."""
        ...

    def store(self, batch: Batch) -> Stored:
        """Append what was staged to the feature store, with the part that each row plays."""
        ...

    def watch(self, batch: Batch) -> Watched:
        """Score the champion on a stored batch before anything learns from it, and look for drift."""
        ...

    def triage(self, batch: Batch, validated: Validated, watched: Watched) -> Triage:
        """Name what happened to a stored batch."""
        ...

    def learn(self, batch: Batch, rung: Rung, callbacks: Sequence[Listener[Followed]]) -> Learned | None:
        """Keep the rung's candidate as a draft; None where there is nothing to learn."""
        ...

    def export(self, batch: Batch, rung: Rung, parent: int | None) -> Exported:
        """Make a draft that goes on from `parent` a registered version."""
        ...

    def export_again(self, version: int) -> Exported:
        """A registered version as if it had just been exported."""
        ...

    def tunable(self, batch: Batch) -> Tunable:
        """What a search may learn from and score on, of all that is stored up to a batch."""
        ...

    def judge(self, batch: Batch, exported: Exported, wealth: float) -> Judged:
        """The gate's verdict on a version; wealth: what it has shown in the shadow."""
        ...

    def predict(self, arrival: Arrival, at: datetime) -> Predicted:
        """What the champion says of a file, recorded for receipts; raises ValueError for what cannot be predicted."""
        ...

    def smoke_test(self, version: int) -> None:
        """Ask the model that MLflow's alias leads to; raises SmokeTestError where it does not answer as the version."""
        ...


def kind_of(line: AnyLine) -> Kind:
    """What the line's task knows."""
    match line:
        case SignalLine():
            return SignalKind(line)
        case Line():
            return RowKind(line)
        case _:
            raise AssertionError(f"a line without a kind: {type(line).__name__}")


@contextmanager
def open_any_line(
    pipeline: Path, settings: Settings, arrivals: Iterable[Arrival], overrides: Overrides = NO_OVERRIDES
) -> Generator[AnyLine]:
    """Open a pipeline of any task for one process at a time; arguments and errors as `open_line`."""
    config = load_pipeline(pipeline)
    if isinstance(config, PipelineConfig):
        with open_line(pipeline, settings, arrivals, overrides) as line:
            yield line
    else:
        with open_signal_line(pipeline, config, settings, arrivals, overrides) as line:
            yield line


def check_action(line: AnyLine, action: LearningAction | None) -> None:
    """Raise ValueError for what a person cannot ask of the line's task."""
    if action == "patch" and isinstance(line, SignalLine):
        why = "task: representation blends no heads, so there is nothing to patch"
        raise ValueError(f"{line.name}: {why}; ask for update or retrain")


def read_any_line(pipeline: Path, settings: Settings) -> AnyLine:
    """A pipeline of any task as it lies there; as `read_line`."""
    config = load_pipeline(pipeline)
    if isinstance(config, PipelineConfig):
        return read_line(pipeline, settings)
    return read_signal_line(pipeline, config, settings)


def check_any_line(pipeline: Path, settings: Settings, arrivals: Iterable[Arrival]) -> None:
    """Raise ValueError for a mistake in a pipeline file of any task, or for what nothing in the source has."""
    config = load_pipeline(pipeline)
    if isinstance(config, PipelineConfig):
        check_line(pipeline, settings, arrivals)
    else:
        check_signal_line(config, settings, arrivals)


def tunable_of_source(pipeline: Path, sources: Sequence[Path], batch_rows: int | None) -> Tunable:
    """What a search may learn from and score on, of the batches of a source; nothing of the loop's state is touched."""
    config = load_pipeline(pipeline)
    if isinstance(config, PipelineConfig):
        return tunable_rows_of_source(pipeline, config, sources, batch_rows)
    return tunable_signals_of_source(pipeline, config, sources, batch_rows)
