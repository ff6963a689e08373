"""What is counted as it happens: requests and how long they took, predictions by version."""

from functools import lru_cache

from prometheus_client import CollectorRegistry, Counter, Histogram

MOST_LABELS = 1024


class Counters:
    """The counters of one service."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        labels = ["method", "route"]
        self._requests = Counter("lehr_requests", "Requests answered", [*labels, "status"], registry=self.registry)
        buckets = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 1, 5, 30)
        self._seconds = Histogram(
            "lehr_request_seconds", "Time until the answer was whole", labels, buckets=buckets, registry=self.registry
        )
        self._predictions = Counter(
            "lehr_predictions", "Samples predicted", ["pipeline", "version"], registry=self.registry
        )
        # Finding a counter by its labels takes several times as long as counting.
        self._request = lru_cache(MOST_LABELS)(self._requests.labels)
        self._second = lru_cache(MOST_LABELS)(self._seconds.labels)
        self._prediction = lru_cache(MOST_LABELS)(self._predictions.labels)

    def answered(self, method: str, route: str | None, status: int, seconds: float) -> None:
        """Count a request by the route's pattern: what clients make up is not counted by name."""
        known, by = route or "none", method if route else "other"
        self._request(by, known, status).inc()
        self._second(by, known).observe(seconds)

    def predicted(self, pipeline: str, version: int, samples: int) -> None:
        """Count predictions."""
        self._prediction(pipeline, version).inc(samples)
