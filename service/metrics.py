"""Routes: what Prometheus is told."""

from collections.abc import Iterable

from fastapi import APIRouter
from fastapi.responses import Response
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from data.inbox import waiting
from deployments.line import inbox_of
from service.core import Core, CoreOf
from service.problems import documented
from service.security.access import needs
from service.security.tokens import ROLES

TEXT = {"text/plain": {"schema": {"type": "string"}}}
router = APIRouter(tags=["service"], dependencies=[needs(*ROLES)])


class _State(Collector):
    """What stands in the ledger and the inboxes at the moment when it is asked for."""

    def __init__(self, core: Core) -> None:
        self._core = core

    def collect(self) -> Iterable[Metric]:
        """One gauge a question."""
        core = self._core
        champions = GaugeMetricFamily("lehr_champion_version", "The version in production", labels=["pipeline"])
        for name in core.ledger.pipelines():
            champion = core.ledger.champion(name)
            if champion is not None:
                champions.add_metric([name], champion.version)
        inboxes = GaugeMetricFamily("lehr_deliveries_waiting", "Files in the inbox", labels=["pipeline"])
        for name, path in core.pipelines.items():
            inboxes.add_metric([name], len(waiting(inbox_of(path, core.settings))))
        trainings = GaugeMetricFamily("lehr_trainings", "Trainings that are not over", labels=["state"])
        states = [run.state for run in core.runs.unfinished()]
        for state in ("pending", "running", "paused"):
            trainings.add_metric([state], states.count(state))
        return champions, inboxes, trainings


@router.get(
    "/metrics",
    response_class=Response,
    responses={**documented(), 200: {"description": "in Prometheus' text format", "content": TEXT}},
)
def metrics(core: CoreOf) -> Response:
    """Counters and gauges for Prometheus."""
    state = CollectorRegistry()
    state.register(_State(core))
    text = generate_latest(core.counters.registry) + generate_latest(state)
    return Response(text, headers={"Content-Type": CONTENT_TYPE_LATEST})
