import asyncio
import threading
from pathlib import Path

import pytest
from sqlalchemy.exc import OperationalError

from data.training_runs import TrainingEvent, TrainingRuns
from service.core import now
from service.training.feed import Feed


class SlowReads(TrainingRuns):
    """The first to read gets what is there then, but only when the second has read more."""

    def __init__(self, url: str) -> None:
        super().__init__(url, now)
        self.reads = 0
        self.appended, self.second_has_read, self.first_was_told = (threading.Event() for _ in range(3))

    def events(self, run_id: str, after: int = 0) -> list[TrainingEvent]:
        self.reads += 1
        read = self.reads
        found = super().events(run_id, after)
        if read == 1:
            self.append(run_id, "warning", {"note": "two"})
            self.appended.set()
            assert self.second_has_read.wait(10)
        elif read == 2:
            self.second_has_read.set()
            assert self.first_was_told.wait(10)
        return found


class Locked(TrainingRuns):
    """The first read after a commit of others finds the database locked."""

    locked = False

    def events(self, run_id: str, after: int = 0) -> list[TrainingEvent]:
        if self.locked:
            self.locked = False
            raise OperationalError("select", {}, Exception("database is locked"))
        return super().events(run_id, after)


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/ledger.db"


def test_of_two_reads_at_once_the_one_that_found_more_is_heard(url: str) -> None:
    runs = SlowReads(url)
    run = runs.create("followed", {}).id
    runs.append(run, "warning", {"note": "one"})
    feed, heard = Feed(runs, poll_seconds=0.001), list[int]()

    async def listen() -> None:
        async for told in feed.follow(run, 0, idle_seconds=1):
            assert told is not None, f"silence after {heard}"
            heard.append(told.number)
            runs.first_was_told.set()
            if told.number == 2:
                return

    async def together() -> None:
        listening = asyncio.create_task(listen())
        await asyncio.to_thread(runs.appended.wait, 10)
        looking = asyncio.create_task(feed.run())
        await asyncio.wait_for(listening, 20)
        looking.cancel()

    asyncio.run(together())
    assert heard == [1, 2]


def test_events_that_could_not_be_read_are_read_again_though_nothing_new_happens(url: str) -> None:
    runs = Locked(url, now)
    run = runs.create("followed", {}).id

    async def listen() -> int:
        feed = Feed(runs, poll_seconds=0.001)
        looking = asyncio.create_task(feed.run())
        following = feed.follow(run, 0, idle_seconds=0.1)
        assert await anext(following) is None
        runs.locked = True
        await asyncio.to_thread(runs.append, run, "warning", {"note": "one"})
        async for told in following:
            if told is not None:
                looking.cancel()
                return told.number
        raise AssertionError("the stream ended")

    assert asyncio.run(asyncio.wait_for(listen(), 5)) == 1
