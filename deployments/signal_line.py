"""A pipeline that represents signals, at work."""

from collections.abc import Generator, Iterable
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from data.bad_batch import BadBatch
from data.feature_store import FeatureStore
from data.ledger import Ledger
from data.signal_config import SignalSchema
from data.signal_files import read_signal_batch
from data.sources import Arrival
from deployments.line import AnyLine, Overrides, alone, connect, open_ledger, suite_path_of, tell_others
from deployments.publishing import broker_config
from deployments.registry import Registry
from deployments.representation_pipeline import RepresentationPipeline
from deployments.settings import Settings


@dataclass(frozen=True)
class SignalLine(AnyLine):
    """A pipeline over signals: representation."""

    config: RepresentationPipeline
    schema: SignalSchema


@contextmanager
def open_signal_line(
    pipeline: Path,
    config: RepresentationPipeline,
    settings: Settings,
    arrivals: Iterable[Arrival],
    overrides: Overrides,
) -> Generator[SignalLine]:
    """Open the pipeline of a file that was read, as `deployments.line.open_line`.

    Raises ValueError also for overrides of what a representation does not have.
    """
    config = overrides.apply(config)
    with alone(settings, config.name) as folder:
        ledger = open_ledger(settings)
        schema, suite = _declared_schema(config, ledger, arrivals), suite_path_of(config.validation, pipeline)
        registry, broker = connect(config.name, ledger, settings)
        line = SignalLine(config, schema, folder, suite, ledger, FeatureStore(folder / "store"), registry, broker)
        yield line
        tell_others(line)


def read_signal_line(pipeline: Path, config: RepresentationPipeline, settings: Settings) -> SignalLine:
    """The pipeline of a file that was read, as `deployments.line.read_line`."""
    ledger = open_ledger(settings)
    kept: dict[str, Any] | None = ledger.schema(config.name)
    if kept is None:
        raise ValueError(f"nothing is known of the pipeline {config.name} under {settings.home}: lehr run it first")
    folder, schema = settings.home / config.name, config.data.schema_for(len(kept["channels"]))
    registry, suite = Registry(settings.tracking_uri, config.name), suite_path_of(config.validation, pipeline)
    store = FeatureStore(folder / "store")
    return SignalLine(config, schema, folder, suite, ledger, store, registry, broker_config(settings))


def check_signal_line(config: RepresentationPipeline, settings: Settings, arrivals: Iterable[Arrival]) -> None:
    """Raise ValueError for what nothing in the source has."""
    if open_ledger(settings).schema(config.name) is None:
        first_signal_schema(config, arrivals)


def _declared_schema(config: RepresentationPipeline, ledger: Ledger, arrivals: Iterable[Arrival]) -> SignalSchema:
    kept: dict[str, Any] | None = ledger.schema(config.name)
    if kept is None:
        schema = first_signal_schema(config, arrivals)
        ledger.declare_schema(config.name, asdict(schema))
        return schema
    schema = config.data.schema_for(len(kept["channels"]))
    changed = [name for name, value in asdict(schema).items() if _plain(value) != _plain(kept.get(name))]
    if changed:
        raise ValueError(
            f"data: {', '.join(changed)} of {config.name} changed since its first batch; "
            "change it back, or give the pipeline another name"
        )
    return schema


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def first_signal_schema(config: RepresentationPipeline, arrivals: Iterable[Arrival]) -> SignalSchema:
    """The schema of the first file that has what the pipeline asks for; a broken one may come before it."""
    mistake: ValueError | None = None
    for arrival in arrivals:
        try:
            return read_signal_batch(arrival, config.data)[1]
        except BadBatch as bad:
            mistake = mistake or ValueError(f"{arrival.name}: {bad.reason}")
    raise mistake or ValueError("the source holds no finished file")
