"""What happened, told to other systems on a topic of Kafka's or a stream of Redis': at least once, whatever is killed.

What is to be told lies in an outbox before the step is journalled that it tells of; promotions and rollbacks are taken
from the ledger. A file leaves the outbox once the broker has it. An event keeps its id however often it is sent.
"""

import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol
from uuid import NAMESPACE_URL, uuid5

from filelock import FileLock
from pydantic import BaseModel, ConfigDict

from data.files import write_whole
from data.ledger import Ledger
from deployments.announcements import PROMOTED, ROLLED_BACK, Announcement
from deployments.settings import Settings

SEND_SECONDS = 5.0
"""So long a broker may take; what it has not taken by then waits for the next batch."""
LOCK_SECONDS = 60

_log = logging.getLogger("lehr.events")


class BrokerConfig(BaseModel):
    """Where events are told: one of both; kafka: host:port,host:port, redis: a URL. settings: librdkafka's."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kafka: str | None = None
    redis: str | None = None
    topic: str
    settings: dict[str, str] = {}


class Undelivered(Exception):  # noqa: N818  # it is not an error of ours
    """The broker did not take an event, and why."""


@dataclass(frozen=True)
class Event:
    """What is told: its id, by which a second time is known, and a document."""

    id: str
    content: bytes


class Broker(Protocol):
    """Takes events in order."""

    def send(self, events: Sequence[Event]) -> None:
        """Bring all to the broker, safe on its side, when this returns; raises Undelivered otherwise."""
        ...


class KafkaBroker:
    """A topic; the key is the event's id."""

    def __init__(self, config: BrokerConfig) -> None:
        from confluent_kafka import Producer

        fixed: dict[str, Any] = {"bootstrap.servers": config.kafka, "enable.idempotence": True}
        fixed["message.timeout.ms"] = int(1000 * SEND_SECONDS)
        self._topic, self._producer = config.topic, Producer({**config.settings, **fixed})

    def send(self, events: Sequence[Event]) -> None:
        """As `Broker` says."""
        failed: list[str] = []

        def delivered(error: Any, _: Any) -> None:
            if error is not None:
                failed.append(str(error))

        for event in events:
            self._producer.produce(self._topic, event.content, key=event.id.encode(), on_delivery=delivered)
        if self._producer.flush(SEND_SECONDS + 1) or failed:
            self._producer.purge()
            raise Undelivered(failed[0] if failed else "Kafka does not answer")


class RedisBroker:
    """A stream; the fields are id and value."""

    def __init__(self, config: BrokerConfig) -> None:
        import redis

        assert config.redis is not None, "it is Redis' configuration"
        self._topic, self._failed = config.topic, redis.RedisError
        self._redis: Any = redis.Redis.from_url(config.redis, socket_timeout=SEND_SECONDS)

    def send(self, events: Sequence[Event]) -> None:
        """As `Broker` says."""
        try:
            for event in events:
                self._redis.xadd(self._topic, {"id": event.id, "value": event.content})
        except self._failed as error:
            raise Undelivered(str(error)) from None


def broker_config(settings: Settings) -> BrokerConfig | None:
    """What the settings say; None where they name no broker. Raises ValueError where they name two."""
    if settings.events_kafka is None and settings.events_redis is None:
        return None
    if settings.events_kafka is not None and settings.events_redis is not None:
        raise ValueError("LEHR_EVENTS_KAFKA and LEHR_EVENTS_REDIS: name one of both")
    return BrokerConfig(
        kafka=settings.events_kafka,
        redis=settings.events_redis,
        topic=settings.events_topic,
        settings=settings.events_settings,
    )


def broker_of(config: BrokerConfig) -> Broker:
    """Raises ValueError where its library is not installed."""
    kind = "kafka" if config.kafka is not None else "redis"
    try:
        return KafkaBroker(config) if kind == "kafka" else RedisBroker(config)
    except ImportError:
        raise ValueError(f"LEHR_EVENTS_{kind.upper()} needs the extra {kind}: pip install 'lehr[{kind}]'") from None


def event_id(pipeline: str, what: str, event: str) -> str:
    """The same for the same event about the same thing."""
    return str(uuid5(NAMESPACE_URL, f"{pipeline} {what} {event}"))


def note(folder: Path, pipeline: str, what: str, announcements: Sequence[Announcement]) -> None:
    """Put events about one thing into the outbox of a pipeline's folder, in order, before anything says it is done."""
    for announcement in announcements:
        if announcement.event not in (PROMOTED, ROLLED_BACK):
            _put(folder, pipeline, what, announcement)


def publish(config: BrokerConfig, ledger: Ledger, folder: Path, pipeline: str, broker: Broker | None = None) -> int:
    """Send what waits in a pipeline's outbox; returns how many events were sent.

    What the broker does not take stays there. broker: another than the configured one.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(_outbox(folder).with_suffix(".lock"), timeout=LOCK_SECONDS):
        _note_promotions(ledger, folder, pipeline)
        files = sorted(_outbox(folder).glob("*.json")) if _outbox(folder).is_dir() else []
        if not files:
            return 0
        try:
            (broker or broker_of(config)).send([Event(_id_in(file), file.read_bytes()) for file in files])
        except Undelivered as error:
            _log.warning("%s events wait for %s: %s", len(files), config.topic, error)
            return 0
        for file in files:
            file.unlink()
        return len(files)


def _note_promotions(ledger: Ledger, folder: Path, pipeline: str) -> None:
    """Those that the outbox had not yet. A version that was in production before was put back."""
    place, history = folder / "promotions-told", ledger.history(pipeline)
    told = int(place.read_text()) if place.exists() else 0
    for promotion in history[told:]:
        before = {earlier.version for earlier in history if earlier.sequence < promotion.sequence}
        payload = {"version": promotion.version, "was": promotion.previous, "reason": promotion.reason}
        event = ROLLED_BACK if promotion.version in before else PROMOTED
        _put(folder, pipeline, f"promotion {promotion.sequence}", Announcement(event, payload, {}))
    if len(history) > told:
        write_whole(place, str(len(history)).encode())


def _put(folder: Path, pipeline: str, what: str, announcement: Announcement) -> None:
    identity = event_id(pipeline, what, announcement.event)
    outbox = _outbox(folder)
    if any(outbox.glob(f"*_{identity}.json")):
        return
    number = max((int(file.name.split("_")[0]) for file in outbox.glob("*.json")), default=0) + 1
    document = {"id": identity, "event": announcement.event, "pipeline": pipeline}
    document |= {"labels": announcement.labels, "payload": announcement.payload}
    write_whole(outbox / f"{number:012}_{identity}.json", json.dumps(document).encode())


def _id_in(file: Path) -> str:
    return file.stem.split("_")[1]


def _outbox(folder: Path) -> Path:
    return folder / "outbox"
