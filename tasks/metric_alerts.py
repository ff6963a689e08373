"""Metric alerts as Prefect events, from which automations and deployments start."""

from uuid import NAMESPACE_URL, uuid5

from prefect.events import emit_event

from monitoring.alert_rules import Alert
from monitoring.alert_sinks import as_json, headline

RAISED, CLEARED = "lehr.metric.alert-raised", "lehr.metric.alert-cleared"


def to_prefect(alert: Alert) -> None:
    """A sink of `MLMetricsTracker`: an event about the experiment; a second time is the same event."""
    resource = f"lehr.experiment.{alert.experiment}"
    emit_event(
        event=RAISED if alert.state == "raised" else CLEARED,
        resource={"prefect.resource.id": resource, "prefect.resource.name": alert.experiment, "lehr.rule": alert.rule},
        payload={**as_json(alert), "headline": headline(alert)},
        id=uuid5(NAMESPACE_URL, f"{resource} {alert.run} {alert.rule} {alert.state} {alert.at.isoformat()}"),
    )
