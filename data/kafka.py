"""Kafka as a source; needs the extra `kafka` (confluent-kafka).

Where a partition goes on is said by the inbox, or, where that never had anything of it, by the group's offset: so
nothing is lost or taken twice whatever is killed between the file and the commit.
"""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition

from data.consuming import Place
from data.messages import Message
from data.stream_files import last_offset

MOST_AT_ONCE = 5_000
FLUSH_SECONDS = 30.0
CONSUMERS_OWN = ("session.timeout.ms", "heartbeat.interval.ms", "max.poll.interval.ms")
"""Settings that mean nothing to a producer."""

_log = logging.getLogger("lehr.kafka")


class KafkaSource:
    """A topic, read as a member of a group.

    settings: librdkafka's, such as bootstrap.servers and security.protocol. inbox: where the rows go. A header `name`
    says what a file is called.
    """

    in_order = True

    def __init__(self, topic: str, group: str, settings: Mapping[str, str], inbox: Path) -> None:
        self._topic, self._inbox = topic, inbox
        self._lost: set[Place] = set()
        self._held = False
        fixed: dict[str, Any] = {"group.id": group, "enable.auto.commit": False, "auto.offset.reset": "earliest"}
        self._consumer = Consumer({**settings, **fixed})
        shared = {name: value for name, value in settings.items() if name not in CONSUMERS_OWN}
        self._producer = Producer({**shared, "enable.idempotence": True})
        self._consumer.subscribe([topic], on_assign=self._on_assign, on_revoke=self._on_lost, on_lost=self._on_lost)

    @property
    def dead_letters(self) -> str:
        """The topic of messages that no row can be made of."""
        return f"{self._topic}.dead"

    def poll(self, seconds: float) -> list[Message]:
        """As `Source` says; raises KafkaException for what will not pass by itself."""
        messages: list[Message] = []
        for found in self._consumer.consume(MOST_AT_ONCE, seconds):
            error = found.error()
            if error is not None:
                _refuse_fatal(error)
                continue
            topic, partition, offset = found.topic(), found.partition(), found.offset()
            assert topic is not None and partition is not None and offset is not None, "a message has a place"
            messages.append(Message(topic, partition, offset, found.value() or b"", _name_in(found.headers())))
        return [message for message in messages if (message.topic, message.partition) not in self._lost]

    def lost(self) -> set[Place]:
        """As `Source` says."""
        lost, self._lost = self._lost, set()
        return lost

    def commit(self, messages: Sequence[Message]) -> None:
        """As `Source` says; where the partition is another's by now, that one finds the inbox's end by itself."""
        last = messages[-1]
        after = TopicPartition(last.topic, last.partition, last.offset + 1)
        try:
            self._consumer.commit(offsets=[after], asynchronous=False)
        except KafkaException as error:
            _log.warning("an offset was not committed: %s", error)

    def reject(self, message: Message, reason: str) -> None:
        """As `Source` says; raises KafkaException where the broker does not take it."""
        failed: list[KafkaError] = []

        def delivered(error: KafkaError | None, _: Any) -> None:
            if error is not None:
                failed.append(error)

        headers: dict[str, str | bytes | None] = {"lehr.reason": reason, "lehr.origin": message.origin}
        self._producer.produce(self.dead_letters, message.value, headers=headers, on_delivery=delivered)
        if self._producer.flush(FLUSH_SECONDS) or failed:
            raise KafkaException(failed[0] if failed else KafkaError(KafkaError._TIMED_OUT))

    def hold(self, held: bool) -> None:
        """As `Source` says."""
        if held != self._held:
            self._held = held
            assigned = self._consumer.assignment()
            (self._consumer.pause if held else self._consumer.resume)(assigned)

    def close(self) -> None:
        """Leave the group, so that others go on at once."""
        self._consumer.close()

    def _on_assign(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        committed = consumer.committed(partitions, timeout=FLUSH_SECONDS)
        for place in committed:
            known = last_offset(self._inbox, place.topic, place.partition)
            if known >= 0:
                place.offset = max(place.offset, known + 1)
        consumer.assign(committed)
        self._held = False

    def _on_lost(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        self._lost |= {(place.topic, place.partition) for place in partitions}


def _name_in(headers: Any) -> str | None:
    found = next((value for name, value in headers or [] if name == "name"), None)
    return None if found is None else found.decode(errors="replace")


def _refuse_fatal(error: KafkaError) -> None:
    passing = (KafkaError._PARTITION_EOF, KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError._ALL_BROKERS_DOWN)
    if error.fatal() or (not error.retriable() and error.code() not in passing):
        raise KafkaException(error)
    _log.warning("the broker says: %s", error)
