"""From a stream to a pipeline's inbox: batches by rows or seconds, or whole files, each message once."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Protocol

from data.inbox import waiting
from data.messages import Message, PoisonError, Reader, Row
from data.stream_files import write_batch, write_file

Place = tuple[str, int]
"""A topic and a partition."""


class Source(Protocol):
    """A stream that is read by several at once: each its share of the partitions, or each what the others have not.

    in_order: all of a partition goes to one of them, in order.
    """

    in_order: bool

    def poll(self, seconds: float) -> list[Message]:
        """What came within so many seconds, from where the inbox ends; each partition's messages in order."""
        ...

    def lost(self) -> set[Place]:
        """The partitions that others read since the last call: what is held of them is theirs."""
        ...

    def commit(self, messages: Sequence[Message]) -> None:
        """These are on disk, and where the stream is read in order all before them."""
        ...

    def reject(self, message: Message, reason: str) -> None:
        """Keep a message that nothing can be made of where people find it; it is there when this returns."""
        ...

    def hold(self, held: bool) -> None:
        """Let nothing more come, or again."""
        ...


@dataclass(frozen=True)
class Cut:
    """When the rows of a partition become a batch, and how many files may wait before the stream has to."""

    rows: int = 1000
    seconds: float = 60.0
    most_waiting: int = 20


@dataclass
class Consumer:
    """Fills an inbox with batches of rows from a source. clock: seconds; now: for the order of files."""

    source: Source
    read: Reader
    inbox: Path
    cut: Cut
    clock: Callable[[], float]
    now: Callable[[], datetime]
    taken: int = 0
    rejected: int = 0
    unit = "rows"
    _open: dict[Place, list[tuple[Message, Row]]] = field(default_factory=dict)
    _since: dict[Place, float] = field(default_factory=dict)

    def step(self, seconds: float = 0.5) -> None:
        """Take what came, and write what is full or old enough."""
        self.source.hold(len(waiting(self.inbox)) >= self.cut.most_waiting)
        messages = self.source.poll(seconds)
        for place in self.source.lost():
            self._open.pop(place, None)
        for message in messages:
            self._take(message)
        for place in list(self._open):
            if len(self._open[place]) >= self.cut.rows or self.clock() - self._since[place] >= self.cut.seconds:
                self._write(place)

    def finish(self) -> None:
        """Write what is open."""
        for place in list(self._open):
            self._write(place)

    def _take(self, message: Message) -> None:
        place = message.topic, message.partition
        try:
            rows = self.read(message)
        except PoisonError as poison:
            self.source.reject(message, str(poison))
            self.rejected += 1
            return
        if place not in self._open:
            self._open[place], self._since[place] = [], self.clock()
        self._open[place] += [(message, row) for row in rows]
        if len(self._open[place]) >= self.cut.rows:
            self._write(place)

    def _write(self, place: Place) -> None:
        rows = self._open.pop(place)
        self.taken += write_batch(self.inbox, rows, _stamp(self.now()), self.source.in_order)
        self.source.commit([message for message, _ in rows])


@dataclass
class FileConsumer:
    """Fills an inbox with the files that a source's messages are. now: for the order of files."""

    source: Source
    inbox: Path
    most_bytes: int
    most_waiting: int
    now: Callable[[], datetime]
    taken: int = 0
    rejected: int = 0
    unit = "files"

    def step(self, seconds: float = 0.5) -> None:
        """Take what came."""
        self.source.hold(len(waiting(self.inbox)) >= self.most_waiting)
        messages = self.source.poll(seconds)
        self.source.lost()  # nothing is held of them
        for message in messages:
            try:
                self.taken += write_file(self.inbox, message, _stamp(self.now()), self.most_bytes)
            except PoisonError as poison:
                self.source.reject(message, str(poison))
                self.rejected += 1
            else:
                self.source.commit([message])

    def finish(self) -> None:
        """Nothing is open between two steps."""


def _stamp(now: datetime) -> str:
    return f"{now:%Y%m%dT%H%M%S.%fZ}"
