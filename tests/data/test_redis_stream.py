"""A Redis stream as a source, against the real server."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from data.consuming import Consumer, Cut, FileConsumer
from data.inbox import waiting
from data.messages import read_json
from tests.data.test_consuming import ROOT, parts, wait_until

SERVER = shutil.which("redis-server")
pytestmark = pytest.mark.skipif(SERVER is None, reason="there is no redis-server: apt-get install redis-server")
redis = pytest.importorskip("redis")


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server of its own."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    folder = tmp_path_factory.mktemp("redis")
    command = [str(SERVER), "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(folder)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    client = redis.Redis(port=port)
    wait_until(lambda: answers(client), 20)
    yield f"redis://127.0.0.1:{port}"
    client.close()
    process.terminate()
    process.wait()


def answers(client: Any) -> bool:
    try:
        return client.ping()
    except redis.ConnectionError:
        return False


@pytest.fixture
def client(url: str) -> Iterator[Any]:
    client = redis.Redis.from_url(url, decode_responses=True)
    client.flushall()
    yield client
    client.close()


def send(client: Any, first: int, count: int) -> None:
    with client.pipeline(transaction=False) as pipeline:
        for part in range(first, first + count):
            value = "{broken" if part % 50 == 49 else json.dumps({"part": part, "heat": 900.5})
            pipeline.xadd("line", {"value": value})
        pipeline.execute()


def source_of(url: str, claim_seconds: float = 60) -> Any:
    from data.redis_stream import RedisSource

    return RedisSource(url, "line", "plant", claim_seconds)


def consumer_of(source: Any, inbox: Path, **cut: Any) -> Consumer:
    now = lambda: datetime.now(UTC)  # noqa: E731
    return Consumer(source, read_json, inbox, Cut(**{"rows": 10, "seconds": 60, **cut}), time.monotonic, now)


def pending(client: Any) -> int:
    return client.xpending("line", "plant")["pending"]


def test_a_message_is_acknowledged_once_it_is_on_disk_and_what_is_no_row_is_set_aside(
    url: str, client: Any, tmp_path: Path
) -> None:
    send(client, 0, 55)
    source = source_of(url)
    consumer = consumer_of(source, tmp_path)
    consumer.step(0.1)
    assert (len(parts(tmp_path)), pending(client)) == (50, 4)
    consumer.finish()
    assert (sorted(parts(tmp_path)), pending(client)) == ([i for i in range(55) if i != 49], 0)
    ((_, letter),) = client.xrange("line.dead")
    assert letter["value"] == "{broken"
    assert letter["lehr.reason"].startswith("it is not JSON")
    assert letter["lehr.origin"].startswith("line/")
    source.close()
    assert client.xinfo_consumers("line", "plant") == []


def test_what_a_dead_member_took_goes_to_another_without_what_it_had_written(
    url: str, client: Any, tmp_path: Path
) -> None:
    send(client, 0, 24)
    dead = source_of(url)
    taker = consumer_of(dead, tmp_path)
    dead.commit = lambda messages: None  # it dies between the file and the acknowledgement
    taker.step(0.1)
    assert (len(parts(tmp_path)), pending(client)) == (20, 24)
    dead.close()
    time.sleep(0.1)
    source = source_of(url, claim_seconds=0.05)
    other = consumer_of(source, tmp_path)
    other.step(0.1)
    other.finish()
    assert (sorted(parts(tmp_path)), other.taken, pending(client)) == (list(range(24)), 4, 0)
    source.close()


def test_whole_files_come_by_a_stream(url: str, client: Any, tmp_path: Path) -> None:
    for name in ("a.csv", "../b.csv"):
        client.xadd("line", {"value": "heat\n1\n", "name": name})
    client.xadd("line", {"other": "heat\n1\n"})
    source = source_of(url)
    consumer = FileConsumer(source, tmp_path, 1000, 10, lambda: datetime.now(UTC))
    consumer.step(0.1)
    assert [file.read_bytes() for file in waiting(tmp_path)] == [b"heat\n1\n"]
    assert [letter.get("name") for _, letter in client.xrange("line.dead")] == ["../b.csv", None]
    assert pending(client) == 0
    source.close()


def test_a_redis_that_was_emptied_begins_again(url: str, client: Any, tmp_path: Path) -> None:
    source = source_of(url)
    consumer = consumer_of(source, tmp_path)
    client.flushall()
    send(client, 0, 10)
    for _ in range(3):
        consumer.step(0.1)
    assert parts(tmp_path) == list(range(10))
    source.hold(True)
    assert source.poll(0.01) == []
    source.close()


def test_names_that_no_file_can_carry_are_refused(url: str) -> None:
    from data.redis_stream import RedisSource

    for name in ("../line", "", "a b", "x" * 101, "line\0"):
        with pytest.raises(ValueError, match="no name for a stream"):
            RedisSource(url, name, "plant")


@pytest.mark.slow
def test_two_consumers_of_a_group_one_killed_lose_nothing_and_take_nothing_twice(
    url: str, client: Any, tmp_path: Path
) -> None:
    send(client, 0, 300)
    command = [sys.executable, "-m", "tests.data.consuming_process", url, "line", str(tmp_path)]
    first, second = (subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL) for _ in range(2))
    expected = [part for part in range(900) if part % 50 != 49]
    try:
        wait_until(lambda: len(parts(tmp_path)) >= 100)
        send(client, 300, 300)
        time.sleep(0.05)
        os.kill(first.pid, signal.SIGKILL)
        send(client, 600, 300)
        wait_until(lambda: len(parts(tmp_path)) >= len(expected), 60)
        time.sleep(0.5)
    finally:
        for process in (first, second):
            process.kill()
            process.wait()
    assert sorted(parts(tmp_path)) == expected
    assert sorted(letter["value"] for _, letter in client.xrange("line.dead")) == ["{broken"] * 18
    assert client.xpending("line", "line")["pending"] == 0
