"""Metrics of trackers in Prometheus' text format, for whoever scrapes them."""

import re
from collections.abc import Iterable, Mapping
from typing import Protocol

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

PREFIX = "lehr_metric_"


class Tracked(Protocol):
    """What is read out of a tracker."""

    @property
    def experiment_name(self) -> str: ...

    @property
    def run_name(self) -> str: ...

    @property
    def latest(self) -> Mapping[str, float]: ...

    @property
    def calls(self) -> int: ...

    @property
    def raised(self) -> Mapping[str, bool]: ...


class TrackerCollector(Collector):
    """The latest values of a tracker: to be registered where a process exposes its metrics."""

    def __init__(self, tracker: Tracked) -> None:
        self._tracker = tracker

    def collect(self) -> Iterable[Metric]:
        """A gauge a metric; what follows a point in its name (`recall.crack`) is the label `part`."""
        tracker = self._tracker
        names, run = ["experiment", "run"], [tracker.experiment_name, tracker.run_name]
        families: dict[str, GaugeMetricFamily] = {}
        for metric, value in dict(tracker.latest).items():
            whole, _, part = metric.partition(".")
            family = families.setdefault(
                whole, GaugeMetricFamily(_safe(whole), f"The latest {whole}", labels=[*names, "part"])
            )
            family.add_metric([*run, part], value)
        yield from families.values()
        calls = CounterMetricFamily("lehr_metric_calls", "Calls of log_metrics", labels=names)
        calls.add_metric(run, tracker.calls)
        yield calls
        alerts = GaugeMetricFamily("lehr_metric_alert", "1 while a rule is raised", labels=[*names, "rule"])
        for rule, raised in dict(tracker.raised).items():
            alerts.add_metric([*run, rule], float(raised))
        yield alerts


def expose(tracker: Tracked) -> bytes:
    """The text that a scrape of this tracker alone would get."""
    registry = CollectorRegistry()
    registry.register(TrackerCollector(tracker))
    return generate_latest(registry)


def _safe(name: str) -> str:
    return PREFIX + re.sub(r"[^a-zA-Z0-9_]", "_", name)
