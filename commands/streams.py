"""The command of streams: consume."""

import signal
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from commands.opening import console, settings_at

if TYPE_CHECKING:
    from data.consuming import Consumer, FileConsumer
    from data.kafka import KafkaSource
    from data.messages import Reader
    from data.redis_stream import RedisSource

MIB = 2**20


@dataclass(frozen=True)
class Stream:
    """Where messages come from: Kafka by topic and servers, or Redis by redis and stream.

    Parameters
    ----------
    topic
        A topic of Kafka's; messages that nothing can be made of go to the topic of the same name with .dead behind it.
    servers
        Where Kafka is, as host:port,host:port.
    redis
        Where Redis is, such as redis://127.0.0.1:6379.
    stream
        A stream of Redis'; a message is in its field value. Its dead letters go to the same name with .dead behind it.
    group
        The consumers that share the topic or stream; default: lehr- and the pipeline's name.
    setting
        Further settings of librdkafka, as name=value, such as security.protocol=ssl.
    """

    topic: str | None = None
    servers: str | None = None
    redis: str | None = None
    stream: str | None = None
    group: str | None = None
    setting: list[str] = field(default_factory=list[str])

    def open(self, pipeline: str, inbox: Path, seconds: float) -> "KafkaSource | RedisSource":
        """Raises ValueError where neither is named, or both."""
        group = self.group or f"lehr-{pipeline}"
        if self.redis is not None and self.stream is not None and self.topic is self.servers is None:
            if not self.setting:
                return _redis(self.redis, self.stream, group, seconds)
        elif self.topic is not None and self.servers is not None and self.redis is self.stream is None:
            return _kafka(self.topic, group, self.servers, self.setting, inbox)
        raise ValueError("give --topic and --servers for Kafka, or --redis and --stream")


@dataclass(frozen=True)
class Messages:
    """What a message is, and how many make a batch.

    Parameters
    ----------
    format
        What a message is: json, an object with a row's columns; csv, lines of cells; file, a whole CSV or Parquet file.
    columns
        With csv: the cells' names, separated by commas; default: those of the pipeline's first batch.
    rows
        So many rows of a partition make a batch.
    seconds
        So many seconds after the first row a batch is made of fewer.
    most_waiting
        With so many files in the inbox reading pauses until the loop has taken some.
    most_mib
        With file: larger ones are dead letters.
    """

    format: Literal["json", "csv", "file"] = "json"
    columns: str | None = None
    rows: int = 1000
    seconds: float = 60.0
    most_waiting: int = 20
    most_mib: int = 64


def consume(
    pipeline: Path,
    *,
    of: Annotated[Stream, Parameter(name="*")] = Stream(),  # it is frozen
    made: Annotated[Messages, Parameter(name="*")] = Messages(),
    home: Path | None = None,
) -> None:
    """Make batches of a Kafka topic's or a Redis stream's messages, until Ctrl-C or SIGTERM; each message once.

    Parameters
    ----------
    pipeline
        The pipeline file; batches go to its inbox.
    home
        Where lehr keeps its state.
    """
    from deployments.line import inbox_of
    from deployments.pipeline_files import load_pipeline

    name, inbox = load_pipeline(pipeline).name, inbox_of(pipeline, settings_at(home))
    read = None if made.format == "file" else _reader(made.format, made.columns, name, home)
    source = of.open(name, inbox, made.seconds)
    console.print(f"{of.topic or of.stream} → {inbox}", highlight=False)
    _until_told(_consumer(source, made, read, inbox), source)


def _consumer(
    source: "KafkaSource | RedisSource", made: Messages, read: "Reader | None", inbox: Path
) -> "Consumer | FileConsumer":
    """read: what makes rows of a message; None: a message is a file."""
    from data.consuming import Consumer, Cut, FileConsumer

    def now() -> datetime:
        return datetime.now(UTC)

    if read is None:
        return FileConsumer(source, inbox, made.most_mib * MIB, made.most_waiting, now)
    cut = Cut(made.rows, made.seconds, made.most_waiting)
    return Consumer(source, read, inbox, cut, time.monotonic, now)


def _until_told(consumer: "Consumer | FileConsumer", source: "KafkaSource | RedisSource") -> None:
    told = _told_to_stop()
    try:
        while not told:
            consumer.step()
        consumer.finish()
    finally:
        source.close()
    console.print(f"{consumer.taken:,} {consumer.unit} taken, {consumer.rejected:,} messages rejected")


def _reader(format: str, columns: str | None, name: str, home: Path | None) -> "Reader":
    """What makes rows of a message."""
    from data.messages import csv_reader, read_json
    from deployments.line import open_ledger

    if format == "json":
        return read_json
    if columns is not None:
        return csv_reader([column.strip() for column in columns.split(",")])
    kept = open_ledger(settings_at(home)).schema(name)
    if kept is None:
        raise ValueError(f"name the cells with --columns: no batch of {name} has come yet that could tell them")
    return csv_reader(kept["columns"])


def _kafka(topic: str, group: str, servers: str, settings: list[str], inbox: Path) -> "KafkaSource":
    try:
        from data.kafka import KafkaSource
    except ImportError:
        raise ValueError("Kafka needs the extra kafka: pip install 'lehr[kafka]'") from None
    given = dict(_pair(text) for text in settings)
    return KafkaSource(topic, group, {**given, "bootstrap.servers": servers}, inbox)


def _redis(url: str, stream: str, group: str, seconds: float) -> "RedisSource":
    """A member that says nothing for twice as long as a batch takes is taken for dead."""
    try:
        from redis import RedisError

        from data.redis_stream import RedisSource
    except ImportError:
        raise ValueError("Redis needs the extra redis: pip install 'lehr[redis]'") from None
    try:
        return RedisSource(url, stream, group, claim_seconds=2 * seconds + 30)
    except RedisError as error:
        raise ValueError(f"Redis does not answer: {error}") from None


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise ValueError(f"--setting {text!r}: write name=value")
    return name, value


def _told_to_stop() -> list[int]:
    """A list that has something in it once SIGTERM or Ctrl-C came."""
    told: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        told.append(number)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, note)
    return told
