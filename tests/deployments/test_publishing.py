"""Events on a topic or a stream: at least once, by a stable id."""

import json
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from data.ledger import Ledger
from deployments.announcements import ACCEPTED, DRIFT, PROMOTED, QUARANTINED, Announcement
from deployments.publishing import BrokerConfig, Event, Undelivered, broker_config, broker_of, note, publish
from deployments.settings import Settings

NOWHERE = BrokerConfig(kafka="127.0.0.1:1", topic="lehr.events")


class Told:
    """A broker in memory; away: it takes nothing."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.away = False

    def send(self, events: Sequence[Event]) -> None:
        if self.away:
            raise Undelivered("it is away")
        self.events += events

    @property
    def names(self) -> list[str]:
        return [json.loads(event.content)["event"] for event in self.events]


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    ledger = Ledger(f"sqlite:///{tmp_path / 'ledger.db'}", lambda: datetime.now(UTC))
    ledger.declare_schema("line", {})
    for version in (1, 2):
        ledger.register_version("line", version, "0" * 64, None, 1, "bootstrap")
    return ledger


def announced(*events: str) -> list[Announcement]:
    return [Announcement(event, {"batch": 1}, {}) for event in events]


def test_what_happened_is_told_once_in_order_and_promotions_as_the_ledger_has_them(
    ledger: Ledger, tmp_path: Path
) -> None:
    told, folder = Told(), tmp_path / "line"
    ledger.promote("line", 1, None, None, "first")
    note(folder, "line", "b1", announced(DRIFT, ACCEPTED, PROMOTED))
    assert publish(NOWHERE, ledger, folder, "line", told) == 3
    assert told.names == [DRIFT, ACCEPTED, PROMOTED]
    assert publish(NOWHERE, ledger, folder, "line", told) == 0
    ledger.promote("line", 2, 1, None, "better")
    ledger.promote("line", 1, 2, None, "rolled back: it is worse")
    publish(NOWHERE, ledger, folder, "line", told)
    assert told.names[3:] == ["lehr.version.promoted", "lehr.version.rolled-back"]
    back = json.loads(told.events[-1].content)
    assert back["payload"] == {"version": 1, "was": 2, "reason": "rolled back: it is worse"}
    assert back["pipeline"] == "line"
    assert len({event.id for event in told.events}) == 5


def test_what_the_broker_does_not_take_waits_and_a_second_time_is_the_same_event(
    ledger: Ledger, tmp_path: Path
) -> None:
    told, folder = Told(), tmp_path / "line"
    told.away = True
    note(folder, "line", "b1", announced(QUARANTINED))
    note(folder, "line", "b1", announced(QUARANTINED))
    assert publish(NOWHERE, ledger, folder, "line", told) == 0
    told.away = False
    note(folder, "line", "b2", announced(ACCEPTED))
    assert publish(NOWHERE, ledger, folder, "line", told) == 2
    note(folder, "line", "b1", announced(QUARANTINED))  # killed before it was journalled, and done again
    publish(NOWHERE, ledger, folder, "line", told)
    assert told.names == [QUARANTINED, ACCEPTED, QUARANTINED]
    assert told.events[0] == told.events[2]


def test_one_killed_between_sending_and_forgetting_sends_again(ledger: Ledger, tmp_path: Path) -> None:
    class Killed(Told):
        def send(self, events: Sequence[Event]) -> None:
            super().send(events)
            raise KeyboardInterrupt

    killed, told, folder = Killed(), Told(), tmp_path / "line"
    ledger.promote("line", 1, None, None, "first")
    note(folder, "line", "b1", announced(ACCEPTED))
    with pytest.raises(KeyboardInterrupt):
        publish(NOWHERE, ledger, folder, "line", killed)
    assert publish(NOWHERE, ledger, folder, "line", told) == 2
    assert told.events == killed.events


def test_a_broker_that_is_away_is_waited_for_only_so_long(ledger: Ledger, tmp_path: Path) -> None:
    note(tmp_path / "line", "line", "b1", announced(ACCEPTED))
    config = BrokerConfig(redis="redis://127.0.0.1:1", topic="lehr.events")
    assert publish(config, ledger, tmp_path / "line", "line") == 0
    assert len(list((tmp_path / "line" / "outbox").glob("*.json"))) == 1


def test_settings_name_one_broker_or_none(tmp_path: Path) -> None:
    assert broker_config(Settings(home=tmp_path)) is None
    given = broker_config(Settings(home=tmp_path, events_kafka="a:1", events_settings={"security.protocol": "ssl"}))
    assert given == BrokerConfig(kafka="a:1", topic="lehr.events", settings={"security.protocol": "ssl"})
    with pytest.raises(ValueError, match="one of both"):
        broker_config(Settings(home=tmp_path, events_kafka="a:1", events_redis="redis://b"))


EVENTS = [Event(f"{i:032x}", json.dumps({"event": ACCEPTED, "i": i}).encode()) for i in range(3)]


@pytest.mark.slow
def test_a_topic_of_kafka_takes_them() -> None:
    confluent = pytest.importorskip("confluent_kafka")
    cluster = confluent.Producer({"bootstrap.servers": "mock", "test.mock.num.brokers": 1, "log_level": 0})
    servers = ",".join(f"{b.host}:{b.port}" for b in cluster.list_topics(timeout=10).brokers.values())
    broker_of(BrokerConfig(kafka=servers, topic="lehr.events")).send(EVENTS)
    reader = confluent.Consumer({"bootstrap.servers": servers, "group.id": "mes", "auto.offset.reset": "earliest"})
    reader.subscribe(["lehr.events"])
    found: list[Any] = []
    deadline = time.monotonic() + 60
    while len(found) < 3 and time.monotonic() < deadline:
        found += [message for message in reader.consume(10, 1) if message.error() is None]
    reader.close()
    assert {(m.key().decode(), m.value()) for m in found} == {(event.id, event.content) for event in EVENTS}


@pytest.fixture
def redis_port(tmp_path: Path) -> Iterator[int]:
    server = shutil.which("redis-server")
    if server is None:
        pytest.skip("there is no redis-server: apt-get install redis-server")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = subprocess.Popen(
        [server, "--port", str(port), "--save", "", "--dir", str(tmp_path)], stdout=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 20
    while socket.socket().connect_ex(("127.0.0.1", port)) and time.monotonic() < deadline:
        time.sleep(0.05)
    yield port
    process.terminate()
    process.wait()


def test_a_stream_of_redis_takes_them(redis_port: int) -> None:
    redis = pytest.importorskip("redis")
    url = f"redis://127.0.0.1:{redis_port}"
    broker_of(BrokerConfig(redis=url, topic="lehr.events")).send(EVENTS)
    with redis.Redis.from_url(url) as client:
        found = [(fields[b"id"].decode(), fields[b"value"]) for _, fields in client.xrange("lehr.events")]
    assert found == [(event.id, event.content) for event in EVENTS]
