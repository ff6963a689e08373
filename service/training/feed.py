"""Events of training runs for any number of followers: each is read and written out once and handed to all."""

import asyncio
import logging
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from sqlalchemy.exc import SQLAlchemyError

from data.training_runs import TrainingRuns
from service.training.progress import is_last, wire_of

POLL_SECONDS = 0.02

_log = logging.getLogger("lehr.service")


@dataclass(frozen=True)
class Told:
    """An event as it goes over the wire, and whether nothing comes after it."""

    number: int
    wire: bytes
    last: bool


@dataclass
class _Topic:
    """One run's events so far, and what its followers wait for."""

    events: list[Told] = field(default_factory=list[Told])
    followers: int = 0
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    def tell(self) -> None:
        """Wake everybody who waits."""
        self.changed.set()
        self.changed = asyncio.Event()


class Feed:
    """Looks for new events while somebody follows; used from one event loop."""

    def __init__(self, runs: TrainingRuns, poll_seconds: float = POLL_SECONDS) -> None:
        self._runs, self._poll_seconds = runs, poll_seconds
        self._topics: dict[str, _Topic] = {}
        self._wanted = asyncio.Event()
        self._closed = False

    async def run(self) -> None:
        """Look for events until cancelled."""
        commits, seen = self._runs.commits(), None
        try:
            while True:
                await self._wanted.wait()
                try:
                    if (mark := commits.mark()) != seen:
                        for run_id, topic in list(self._topics.items()):
                            await self._refresh(run_id, topic)
                        seen = mark
                except SQLAlchemyError:
                    _log.exception("could not look for events; the next look is in a second")
                    await asyncio.sleep(1)
                await asyncio.sleep(self._poll_seconds)
        finally:
            commits.close()

    def close(self) -> None:
        """End all streams."""
        self._closed = True
        for topic in self._topics.values():
            topic.tell()

    async def follow(self, run_id: str, after: int, idle_seconds: float) -> AsyncIterator[Told | None]:
        """The run's events whose numbers are above `after`, as they happen; None after so long a silence."""
        topic = self._topics.setdefault(run_id, _Topic())
        topic.followers += 1
        self._wanted.set()
        try:
            await self._refresh(run_id, topic)
            while not self._closed:
                changed = topic.changed
                for event in topic.events[after:]:
                    yield event
                    after = event.number
                if changed is topic.changed:
                    try:
                        async with asyncio.timeout(idle_seconds):
                            await changed.wait()
                    except TimeoutError:
                        yield None
        finally:
            topic.followers -= 1
            if topic.followers == 0:
                self._topics.pop(run_id, None)
            if not self._topics:
                self._wanted.clear()

    async def _refresh(self, run_id: str, topic: _Topic) -> None:
        found = await asyncio.to_thread(self._runs.events, run_id, len(topic.events))
        known = len(topic.events)  # another look may have ended meanwhile; events are numbered from 1 without gaps
        new = [event for event in found if event.sequence > known]
        if new:
            topic.events.extend(Told(event.sequence, wire_of(event), is_last(event)) for event in new)
            topic.tell()
