"""A consumer in a process of its own, to be killed: `python -m tests.data.consuming_process SERVERS TOPIC INBOX`."""

import sys
import time
from datetime import UTC, datetime
from pathlib import Path

from data.consuming import Consumer, Cut
from data.kafka import KafkaSource

if __name__ == "__main__":
    servers, topic, inbox = sys.argv[1], sys.argv[2], Path(sys.argv[3])
    settings = {"bootstrap.servers": servers, "session.timeout.ms": "6000", "heartbeat.interval.ms": "500"}
    source = KafkaSource(topic, "line", settings, inbox)
    consumer = Consumer(
        source, inbox, Cut(rows=7, seconds=0.3, most_waiting=10_000), time.monotonic, lambda: datetime.now(UTC)
    )
    while True:
        consumer.step(0.1)
        print(consumer.rows, flush=True)
