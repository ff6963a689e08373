import gzip
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from data.consuming import Consumer, Cut, FileConsumer, Place
from data.inbox import take, waiting
from data.messages import Message, read_json
from data.stream_files import last_offset

ROOT = Path(__file__).parents[2]
NOW = datetime(2026, 1, 1, tzinfo=UTC)


class Log:
    """A stream of two partitions in memory that remembers what was committed and rejected."""

    in_order = True

    def __init__(self, inbox: Path, messages: list[Message]) -> None:
        self._inbox, self._messages = inbox, messages
        self.committed: dict[int, int] = {}
        self.rejected: list[int] = []
        self.taken_away: set[Place] = set()
        self.held = False
        self._next = {partition: last_offset(inbox, "t", partition) + 1 for partition in (0, 1)}

    def poll(self, seconds: float) -> list[Message]:
        come = [] if self.held else [m for m in self._messages if m.offset >= self._next[m.partition]][:5]
        for message in come:
            self._next[message.partition] = message.offset + 1
        return come

    def lost(self) -> set[Place]:
        lost, self.taken_away = self.taken_away, set()
        return lost

    def commit(self, messages: Sequence[Message]) -> None:
        self.committed[messages[-1].partition] = messages[-1].offset

    def reject(self, message: Message, reason: str) -> None:
        self.rejected.append(message.offset)

    def hold(self, held: bool) -> None:
        self.held = held


def stream(count: int) -> list[Message]:
    values = [b"poison" if i % 10 == 9 else json.dumps({"part": i}).encode() for i in range(count)]
    return [Message("t", i % 2, i // 2, value) for i, value in enumerate(values)]


def parts(inbox: Path) -> list[int]:
    return [part for file in waiting(inbox) for part in pl.read_parquet(file)["part"].to_list()]


@pytest.fixture
def clock() -> list[float]:
    return [0.0]


def consumer_of(log: Log, inbox: Path, clock: list[float], **cut: Any) -> Consumer:
    return Consumer(log, read_json, inbox, Cut(**{"rows": 4, "seconds": 10, **cut}), lambda: clock[0], lambda: NOW)


def test_batches_are_cut_by_rows_and_by_seconds_and_committed_once_they_are_on_disk(
    tmp_path: Path, clock: list[float]
) -> None:
    log = Log(tmp_path, stream(24))
    consumer = consumer_of(log, tmp_path, clock)
    for _ in range(6):
        consumer.step()
    assert [pl.read_parquet(file).height for file in waiting(tmp_path)] == [4] * 5
    assert log.committed == {0: 11, 1: 8}
    clock[0] = 10
    consumer.step()
    assert sorted(parts(tmp_path)) == [i for i in range(24) if i % 10 != 9]
    assert (consumer.taken, consumer.rejected, log.rejected) == (22, 2, [4, 9])


def test_what_is_anothers_by_now_is_left_to_it(tmp_path: Path, clock: list[float]) -> None:
    log = Log(tmp_path, stream(6))
    consumer = consumer_of(log, tmp_path, clock)
    consumer.step()
    log.taken_away = {("t", 0)}
    consumer.step()
    consumer.finish()
    assert sorted(parts(tmp_path)) == [1, 3, 5]
    other = consumer_of(Log(tmp_path, stream(6)), tmp_path, clock)
    other.step()
    other.finish()
    assert sorted(parts(tmp_path)) == [0, 1, 2, 3, 4, 5]


def test_reading_pauses_while_the_loop_lags(tmp_path: Path, clock: list[float]) -> None:
    log = Log(tmp_path, stream(40))
    consumer = consumer_of(log, tmp_path, clock, most_waiting=2)
    for _ in range(10):
        consumer.step()
    assert log.held
    held = len(waiting(tmp_path))
    for file in waiting(tmp_path):
        take(file)
    consumer.step()
    consumer.step()
    assert not log.held or len(waiting(tmp_path)) >= 2
    assert held < 5


def test_messages_that_are_whole_files_become_files_of_the_inbox_each_content_once(tmp_path: Path) -> None:
    table = b"heat,speed\n1,2\n"
    packed = gzip.compress(table)
    contents = [(table, "a.csv"), (table, None), (packed, None), (b"", None), (table * 9, None)]
    contents += [(b"x", "../x.csv"), (b"x", "x.onnx"), (b"PAR1", "b.parquet"), (b"x", "a\x00.csv")]
    log = Log(tmp_path, [Message("t", 0, i, content, name) for i, (content, name) in enumerate(contents)])
    consumer = FileConsumer(log, tmp_path, most_bytes=100, most_waiting=100, now=lambda: NOW)
    for _ in range(3):
        consumer.step()
    assert sorted(file.read_bytes() for file in waiting(tmp_path)) == sorted([table, packed, b"PAR1"])
    assert sorted(file.name.split(".", 2)[2] for file in waiting(tmp_path)) == ["csv", "csv.gz", "parquet"]
    assert (consumer.taken, log.rejected) == (3, [3, 4, 5, 6, 8])
    assert not list(tmp_path.parent.glob("x.csv"))
    for file in waiting(tmp_path):
        take(file)
    again = FileConsumer(Log(tmp_path, [Message("t", 1, 0, table)]), tmp_path, 100, 100, lambda: NOW)
    again.step()
    assert (again.taken, waiting(tmp_path)) == (0, [])


@pytest.mark.slow
def test_two_consumers_of_a_group_one_killed_lose_nothing_and_take_nothing_twice(tmp_path: Path) -> None:
    confluent = pytest.importorskip("confluent_kafka")
    producer = confluent.Producer({"bootstrap.servers": "mock", "test.mock.num.brokers": 3, "log_level": 0})
    servers = ",".join(f"{b.host}:{b.port}" for b in producer.list_topics(timeout=10).brokers.values())

    def send(first: int, count: int) -> None:
        for part in range(first, first + count):
            value = b"{broken" if part % 50 == 49 else json.dumps({"part": part, "heat": 900.5}).encode()
            producer.produce("line", value, partition=part % 4)
        assert producer.flush(20) == 0

    send(0, 200)
    command = [sys.executable, "-m", "tests.data.consuming_process", servers, "line", str(tmp_path)]
    start: Callable[[], Any] = lambda: subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL)  # noqa: E731
    first, second = start(), start()
    try:
        wait_until(lambda: len(parts(tmp_path)) >= 100)
        send(200, 200)
        os.kill(first.pid, signal.SIGKILL)
        send(400, 200)
        expected = [part for part in range(600) if part % 50 != 49]
        wait_until(lambda: len(parts(tmp_path)) >= len(expected))
        time.sleep(1)
    finally:
        for process in (first, second):
            process.kill()
            process.wait()
    assert sorted(parts(tmp_path)) == expected
    dead = confluent.Consumer({"bootstrap.servers": servers, "group.id": "people", "auto.offset.reset": "earliest"})
    dead.subscribe(["line.dead"])
    letters: Counter[str] = Counter()
    wait_until(lambda: letters.update(m.headers()[1][1].decode() for m in dead.consume(100, 1)) or len(letters) == 12)
    dead.close()
    assert all(letters.values())


def wait_until(true: Callable[[], Any], seconds: float = 90) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it took too long"
        time.sleep(0.1)
