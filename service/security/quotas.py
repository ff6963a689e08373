"""How many requests a token may make: a bucket that fills evenly, and lets a minute's worth come at once."""

import math
from collections.abc import Callable
from time import monotonic

MOST_BUCKETS = 10_000


class Quotas:
    """Counts by token; per_minute: requests; None: as many as one likes. clock: seconds."""

    def __init__(self, per_minute: int | None, clock: Callable[[], float] = monotonic) -> None:
        self._per_minute, self._clock = per_minute, clock
        self._buckets: dict[str, tuple[float, float]] = {}

    def seconds_to_wait(self, token: str) -> int:
        """Count a request; 0: it may be made now, otherwise it is to come again after so many seconds."""
        if self._per_minute is None:
            return 0
        rate, now = self._per_minute / 60, self._clock()
        left, at = self._buckets.get(token, (float(self._per_minute), now))
        left = min(float(self._per_minute), left + (now - at) * rate)
        self._buckets[token] = (max(left - 1, left if left < 1 else 0.0), now)
        while len(self._buckets) > MOST_BUCKETS:
            self._buckets.pop(next(iter(self._buckets)))
        return 0 if left >= 1 else math.ceil((1 - left) / rate)
