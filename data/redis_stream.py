"""A Redis stream as a source; needs the extra `redis` (redis-py), and Redis 6.2 or later.

A message is acknowledged once it is on disk. What a member of the group took and did not acknowledge for a while is
given to another one; whether it is in the inbox already is said by the inbox, so nothing is lost or taken twice.
"""

import os
import re
import secrets
import socket
import time
from collections.abc import Sequence
from typing import Any

import redis
from redis.backoff import ExponentialBackoff
from redis.retry import Retry

from data.consuming import Place
from data.messages import Message

MOST_AT_ONCE = 1_000
RETRIES = 20
"""With waits of up to ten seconds: three minutes without Redis, then the consumer ends with its error."""
VALUE, NAME = b"value", b"name"
"""The fields of an entry: what it says, and what a file is called."""

_STREAM = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,99}")
_SEQUENCE_BITS = 64


class RedisSource:
    """A stream, read as a member of a group.

    url: such as redis://127.0.0.1:6379 or rediss://user:password@host. claim_seconds: how long a message may be in the
    hands of a member that says nothing. Raises ValueError for a stream whose name no file could carry.
    """

    in_order = False

    def __init__(self, url: str, stream: str, group: str, claim_seconds: float = 120) -> None:
        if not _STREAM.fullmatch(stream):
            raise ValueError(f"{stream[:100]!r} is no name for a stream here: letters, digits, dots, colons and dashes")
        self._stream, self._group, self._claim_ms = stream, group, int(1000 * claim_seconds)
        self._member = f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}"
        self._held, self._claimed_at = False, -claim_seconds
        retry = Retry(ExponentialBackoff(cap=10, base=0.05), RETRIES)
        passing: Any = [redis.ConnectionError, redis.TimeoutError]
        self._redis: Any = redis.Redis.from_url(url, protocol=2, retry=retry, retry_on_error=passing, socket_timeout=30)
        self._join()

    @property
    def dead_letters(self) -> str:
        """The stream of messages that nothing can be made of."""
        return f"{self._stream}.dead"

    def poll(self, seconds: float) -> list[Message]:
        """As `Source` says; raises redis.RedisError for what does not pass by itself."""
        if self._held:
            time.sleep(seconds)
            return []
        try:
            entries = self._left_by_others() or self._new(seconds)
        except redis.ResponseError as error:
            if not str(error).startswith("NOGROUP"):
                raise
            self._join()  # Redis was emptied: begin again, the inbox knows what came
            return []
        return [self._message(key, fields) for key, fields in entries]

    def lost(self) -> set[Place]:
        """As `Source` says; nothing is: what another has claimed meanwhile is seen in the inbox."""
        return set()

    def commit(self, messages: Sequence[Message]) -> None:
        """As `Source` says."""
        ids = list(dict.fromkeys(_id_of(message.offset) for message in messages))
        self._redis.xack(self._stream, self._group, *ids)

    def reject(self, message: Message, reason: str) -> None:
        """As `Source` says; it is acknowledged in the same step."""
        origin = f"{message.topic}/{_id_of(message.offset)}"
        named = {} if message.name is None else {NAME: message.name}
        letter = {VALUE: message.value, **named, "lehr.reason": reason, "lehr.origin": origin}
        with self._redis.pipeline(transaction=True) as both:
            both.xadd(self.dead_letters, letter)
            both.xack(self._stream, self._group, _id_of(message.offset))
            both.execute()

    def hold(self, held: bool) -> None:
        """As `Source` says."""
        self._held = held

    def close(self) -> None:
        """Leave the group, unless something that was taken is still to be given to another."""
        if not self._redis.xpending_range(self._stream, self._group, "-", "+", 1, self._member):
            self._redis.xgroup_delconsumer(self._stream, self._group, self._member)
        self._redis.close()

    def _join(self) -> None:
        """The group begins with the stream's first message, whoever makes it."""
        try:
            self._redis.xgroup_create(self._stream, self._group, id="0", mkstream=True)
        except redis.ResponseError as error:
            if not str(error).startswith("BUSYGROUP"):
                raise

    def _left_by_others(self) -> list[tuple[bytes, dict[bytes, bytes]]]:
        """What its taker has not acknowledged for too long; asked for twice in that time."""
        if time.monotonic() - self._claimed_at < self._claim_ms / 2000:
            return []
        reply = self._redis.xautoclaim(
            self._stream, self._group, self._member, min_idle_time=self._claim_ms, count=MOST_AT_ONCE
        )
        entries = [(key, fields) for key, fields in reply[1] if fields is not None]
        if not entries:
            self._claimed_at = time.monotonic()
        return entries

    def _new(self, seconds: float) -> list[tuple[bytes, dict[bytes, bytes]]]:
        block = max(1, int(1000 * seconds))
        reply = self._redis.xreadgroup(self._group, self._member, {self._stream: ">"}, count=MOST_AT_ONCE, block=block)
        return [entry for _, entries in reply for entry in entries]

    def _message(self, key: bytes, fields: dict[bytes, bytes]) -> Message:
        name = fields.get(NAME)
        told = None if name is None else name.decode(errors="replace")
        return Message(self._stream, 0, _offset_of(key), fields.get(VALUE, b""), told)


def _offset_of(key: bytes) -> int:
    """An entry's id, milliseconds and a sequence number, as one number in the same order."""
    milliseconds, _, sequence = key.partition(b"-")
    return int(milliseconds) << _SEQUENCE_BITS | int(sequence)


def _id_of(offset: int) -> str:
    return f"{offset >> _SEQUENCE_BITS}-{offset & ((1 << _SEQUENCE_BITS) - 1)}"
