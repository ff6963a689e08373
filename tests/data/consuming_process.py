"""A consumer in a process of its own, to be killed: `python -m tests.data.consuming_process ADDRESS TOPIC INBOX`."""

import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from data.consuming import Consumer, Cut
from data.messages import read_json


def source_at(address: str, topic: str, inbox: Path) -> Any:
    if address.startswith("redis://"):
        from data.redis_stream import RedisSource

        return RedisSource(address, topic, "line", claim_seconds=2)
    from data.kafka import KafkaSource

    settings = {"bootstrap.servers": address, "session.timeout.ms": "6000", "heartbeat.interval.ms": "500"}
    return KafkaSource(topic, "line", settings, inbox)


if __name__ == "__main__":
    address, topic, inbox = sys.argv[1], sys.argv[2], Path(sys.argv[3])
    cut = Cut(rows=7, seconds=0.3, most_waiting=10_000)
    consumer = Consumer(
        source_at(address, topic, inbox), read_json, inbox, cut, time.monotonic, lambda: datetime.now(UTC)
    )
    while True:
        consumer.step(0.1)
