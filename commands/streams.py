"""The command of streams: consume."""

import signal
import time
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType

from commands.opening import console, settings_at


def consume(
    pipeline: Path,
    *,
    topic: str,
    servers: str,
    group: str | None = None,
    rows: int = 1000,
    seconds: float = 60.0,
    most_waiting: int = 20,
    setting: list[str] | None = None,
    home: Path | None = None,
) -> None:
    """Make batches of a Kafka topic's messages, one JSON object a row, until Ctrl-C or SIGTERM; each message once.

    Parameters
    ----------
    pipeline
        The pipeline file; batches go to its inbox.
    topic
        What to read; messages that are no row go to the topic of the same name with .dead behind it.
    servers
        Where Kafka is, as host:port,host:port.
    group
        The consumers that share the topic; default: lehr- and the pipeline's name.
    rows
        So many rows of a partition make a batch.
    seconds
        So many seconds after the first row a batch is made of fewer.
    most_waiting
        With so many files in the inbox reading pauses until the loop has taken some.
    setting
        Further settings of librdkafka, as name=value, such as security.protocol=ssl.
    home
        Where lehr keeps its state.
    """
    from data.consuming import Consumer, Cut
    from deployments.line import inbox_of
    from deployments.pipeline import PipelineConfig

    try:
        from data.kafka import KafkaSource
    except ImportError:
        raise ValueError("Kafka needs the extra kafka: pip install 'lehr[kafka]'") from None
    given = dict(_pair(text) for text in setting or [])
    name, inbox = PipelineConfig.load(pipeline).name, inbox_of(pipeline, settings_at(home))
    source = KafkaSource(topic, group or f"lehr-{name}", {**given, "bootstrap.servers": servers}, inbox)
    consumer = Consumer(source, inbox, Cut(rows, seconds, most_waiting), time.monotonic, lambda: datetime.now(UTC))
    console.print(f"{topic} → {inbox}", highlight=False)
    told = _told_to_stop()
    try:
        while not told:
            consumer.step()
        consumer.finish()
    finally:
        source.close()
    console.print(f"{consumer.rows:,} rows taken, {consumer.rejected:,} messages rejected")


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
