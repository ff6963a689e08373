"""One pipeline at work: its configuration, and where its state lives."""

from collections.abc import Generator, Iterable, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from data.config import ValidationConfig
from data.documents import check_document
from data.feature_store import FeatureStore
from data.files import alone_in
from data.ledger import Ledger
from data.readers import read_columns
from data.schema import Schema, resolve_schema
from data.signal_config import SignalSchema
from data.sources import Arrival
from deployments.pipeline import KIND_OF_FILE, ROWS_ALONE, AnyPipeline, PipelineConfig
from deployments.pipeline_files import AnyPipelineConfig, load_pipeline
from deployments.publishing import BrokerConfig, broker_config, publish
from deployments.registry import Registry
from deployments.settings import Settings
from learning.config import Strategy

ConfigT = TypeVar("ConfigT", bound=AnyPipelineConfig)


@dataclass(frozen=True)
class AnyLine:
    """A pipeline with its ledger, feature store and registry; everything else is derived from these.

    What its task makes of them is known to its kind (`deployments.kinds`). broker: where events are told besides
    Prefect; None: nowhere.
    """

    config: AnyPipeline
    schema: Schema | SignalSchema
    folder: Path
    suite_path: Path
    ledger: Ledger
    store: FeatureStore
    registry: Registry
    broker: BrokerConfig | None = None

    @property
    def name(self) -> str:
        """The pipeline's name, by which the ledger knows it."""
        return self.config.name

    @property
    def landing(self) -> Path:
        """Where a batch's bytes and sound rows are kept until it is done."""
        return self.folder / "landing"

    @property
    def quarantine(self) -> Path:
        """Where refused batches and rows lie, with their reasons."""
        return self.folder / "quarantine"

    def draft_folder(self, batch: int, rung: str = "") -> Path:
        """Where a batch's candidates lie until they are exported."""
        return self.folder / "drafts" / str(batch) / rung

    def version_folder(self, version: int) -> Path:
        """Where a model version lies."""
        return self.folder / "versions" / str(version)


@dataclass(frozen=True)
class Line(AnyLine):
    """A pipeline over rows: classification or regression."""

    config: PipelineConfig
    schema: Schema

    @property
    def window_length(self) -> int:
        """Rows in one sample."""
        return self.config.data.window.length


@dataclass(frozen=True)
class Overrides:
    """What one run does otherwise than the pipeline file says; None: as it says."""

    seed: int | None = None
    epochs: int | None = None
    strategy: Strategy | None = None
    model: dict[str, Any] | None = None
    training: dict[str, Any] | None = None

    def apply(self, config: ConfigT) -> ConfigT:
        """The configuration of this run; raises ValueError as the file's own values would."""
        if self == NO_OVERRIDES:
            return config
        document = config.model_dump(mode="json", exclude_unset=True)
        training = {**(self.training or {}), "seed": self.seed, "epochs": self.epochs}
        document["training"] = document.get("training", {}) | {k: v for k, v in training.items() if v is not None}
        if self.model is not None:
            document["model"] = self.model
        if self.strategy is not None:
            if not isinstance(config, PipelineConfig):
                raise ValueError(f"task: {config.task} has one strategy; leave it out")
            if self.strategy != config.update.strategy:
                document["update"] = {"strategy": self.strategy}
        return check_document(type(config), document, "what this run asks for", KIND_OF_FILE)


NO_OVERRIDES = Overrides()


def of_rows(line: AnyLine) -> Line:
    """The line where its task is one of rows; raises ValueError where what is asked is not there for another."""
    if not isinstance(line, Line):
        raise ValueError(f"{line.name}: {ROWS_ALONE}")
    return line


def open_ledger(settings: Settings) -> Ledger:
    """The ledger at the settings' address, on the clock of this machine."""
    return Ledger(settings.ledger_url, lambda: datetime.now(UTC))


def inbox_of(pipeline: Path, settings: Settings) -> Path:
    """The folder where files wait for the pipeline's scheduled runs."""
    config = load_pipeline(pipeline)
    given = config.schedule.inbox
    return settings.home / config.name / "inbox" if given is None else pipeline.parent / given


def check_line(pipeline: Path, settings: Settings, arrivals: Iterable[Arrival]) -> None:
    """Raise ValueError for a mistake in the pipeline file, or for columns that nothing in the source has."""
    _, columns = _schema_and_columns(PipelineConfig.load(pipeline), open_ledger(settings), arrivals)
    if columns is None and next(iter(arrivals), None) is None:
        raise ValueError("the source holds no finished file")


@contextmanager
def open_line(
    pipeline: Path, settings: Settings, arrivals: Iterable[Arrival], overrides: Overrides = NO_OVERRIDES
) -> Generator[Line]:
    """Open a pipeline for one process at a time.

    arrivals: what waits; the first time, the feature patterns are resolved against the columns found there.
    overrides: what this run does otherwise than the file says.
    Raises ValueError for a mistake in the file, for columns that changed under a champion, and where another process
    works on the same pipeline for longer than the settings wait.
    """
    config = overrides.apply(PipelineConfig.load(pipeline))
    with alone(settings, config.name) as folder:
        ledger = open_ledger(settings)
        schema, suite = _declared_schema(config, ledger, arrivals), suite_path_of(config.validation, pipeline)
        store = FeatureStore(folder / "store", config.data.target)
        registry, broker = connect(config.name, ledger, settings)
        line = Line(config, schema, folder, suite, ledger, store, registry, broker)
        yield line
        tell_others(line)


def connect(name: str, ledger: Ledger, settings: Settings) -> tuple[Registry, BrokerConfig | None]:
    """A pipeline's registry, which follows the ledger again, and where events are told besides Prefect."""
    registry = Registry(settings.tracking_uri, name, settings.mlflow_pages)
    registry.reconcile(ledger)
    return registry, broker_config(settings)


def tell_others(line: AnyLine) -> None:
    """Send what is to be told of the pipeline, where a broker is configured."""
    if line.broker is not None:
        publish(line.broker, line.ledger, line.folder, line.name)


def read_line(pipeline: Path, settings: Settings) -> Line:
    """A pipeline as it lies there, to predict with or to look at while another process may be at work on it.

    Raises ValueError for a mistake in the file, and where nothing of the pipeline is there yet.
    """
    config, ledger = PipelineConfig.load(pipeline), open_ledger(settings)
    kept: dict[str, Any] | None = ledger.schema(config.name)
    if kept is None:
        raise ValueError(f"nothing is known of the pipeline {config.name} under {settings.home}: lehr run it first")
    folder, schema = settings.home / config.name, resolve_schema(config.data, config.task, kept["columns"])
    registry = Registry(settings.tracking_uri, config.name)
    store = FeatureStore(folder / "store", config.data.target)
    suite, broker = suite_path_of(config.validation, pipeline), broker_config(settings)
    return Line(config, schema, folder, suite, ledger, store, registry, broker)


def alone(settings: Settings, name: str) -> AbstractContextManager[Path]:
    """A pipeline's folder, for one process at a time; raises ValueError as `open_line` does."""
    return alone_in(settings.home / name, settings.wait_seconds, f"the pipeline {name}")


def suite_path_of(validation: ValidationConfig, pipeline: Path) -> Path:
    """Where the suite of a pipeline file lies; raises ValueError where one is named that is not there."""
    if validation.suite == "auto":
        return pipeline.with_suffix(".suite.json")
    path = pipeline.parent / validation.suite
    if not path.is_file():
        raise ValueError(f"validation.suite: there is no file {path}; name one, or write auto")
    return path


def stored_schema(config: PipelineConfig, ledger: Ledger) -> Schema:
    """The schema that the stored rows have; raises ValueError before any came, and for columns that changed since."""
    kept: dict[str, Any] | None = ledger.schema(config.name)
    if kept is None:
        raise ValueError(f"nothing is stored of the pipeline {config.name}: lehr run it first")
    return _unchanged(config, kept)


def _declared_schema(config: PipelineConfig, ledger: Ledger, arrivals: Iterable[Arrival]) -> Schema:
    schema, columns = _schema_and_columns(config, ledger, arrivals)
    if columns is not None:
        ledger.declare_schema(config.name, {"columns": columns, **_as_json(schema)})
    return schema


def _schema_and_columns(
    config: PipelineConfig, ledger: Ledger, arrivals: Iterable[Arrival]
) -> tuple[Schema, list[str] | None]:
    """The schema that the champion learned by, or, before the first, the one that fits what waits, and its columns."""
    kept: dict[str, Any] | None = ledger.schema(config.name)
    if kept is not None and ledger.champion(config.name) is not None:
        return _unchanged(config, kept), None
    columns = first_columns(config, arrivals, kept)
    return resolve_schema(config.data, config.task, columns), columns


def _unchanged(config: PipelineConfig, kept: Mapping[str, Any]) -> Schema:
    schema = resolve_schema(config.data, config.task, kept["columns"])
    usual_key = [c for c in (kept["timestamp"], kept["group"]) if c is not None and kept["timestamp"] is not None]
    changed = [name for name, value in _as_json(schema).items() if value != kept.get(name, usual_key)]
    if changed:
        raise ValueError(
            f"data: {', '.join(changed)} of {config.name} changed since its champion learned; "
            f"change it back, or give the pipeline another name"
        )
    return schema


def first_columns(
    config: PipelineConfig, arrivals: Iterable[Arrival], kept: Mapping[str, Any] | None = None
) -> list[str]:
    """The columns of the first file that has what the pipeline asks for; a broken one may come before it.

    A file may leave the target to labels that come later where the pipeline names a key, or an earlier file had it.
    kept: what the ledger keeps, for a source that holds such labels alone.
    """
    data, mistake = config.data, None
    later = data.key is not None or (kept is not None and data.target in kept["columns"])
    for arrival in arrivals:
        try:
            columns = read_columns(arrival)
            if set(columns) == {data.target, *data.key_columns}:
                mistake = mistake or ValueError(f"{arrival.name} brings labels, but no rows have come yet")
                if kept is None:
                    continue
                columns = kept["columns"]
            if later and data.target not in columns:
                columns = [*columns, data.target]
            resolve_schema(data, config.task, columns)
        except ValueError as error:
            mistake = mistake or ValueError(f"{arrival.name}: {error}")
        else:
            return columns
    raise mistake or ValueError("the source holds no finished file")


def _as_json(schema: Schema) -> dict[str, Any]:
    return {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(schema).items()}
