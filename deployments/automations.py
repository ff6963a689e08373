"""What Prefect does by itself: crashed runs are found and followed up, and people are told what went wrong.

Creating them is idempotent: what is there by name is replaced, what is no longer wanted is removed.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

from prefect.automations import AutomationCore
from prefect.blocks.webhook import Webhook
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterState,
    FlowRunFilterStateType,
    FlowRunFilterTags,
)
from prefect.client.schemas.objects import FlowRun, State, StateType
from prefect.events import EventTrigger, Posture, ResourceSpecification
from prefect.events.actions import CallWebhook, ChangeFlowRunState, RunDeployment, SendNotification
from prefect.exceptions import ObjectNotFound
from pydantic import SecretStr

from deployments.announcements import DRIFT, REFUSED, ROLLED_BACK
from deployments.definitions import LINE_TAG, REQUEST_TAG, TAG
from deployments.settings import Settings

PREFIX = "lehr: "
SILENT_SECONDS = 90
"""Three heartbeats: a run that is silent for longer has died."""
HEARTBEAT = "prefect.flow-run.heartbeat"
LEFT = (StateType.PENDING, StateType.RUNNING, StateType.CANCELLING, StateType.PAUSED)
PAGE = 200
BEGINS = {f"prefect.flow-run.{name}" for name in ("Pending", "Submitting")}
NEXT = {f"prefect.flow-run.{name}" for name in ("Running", "Scheduled", "AwaitingConcurrencySlot", "Late")}
ENDS = {f"prefect.flow-run.{name}" for name in ("Completed", "Failed", "Cancelled", "Crashed")}
ALERT_BLOCK = "lehr-alerts"
RUN_KEY = "{{ (flow_run.parameters.get('run_key') or flow_run.id) | string }}"
TEXT = "{{ event.event }} {{ event.resource.name }}: {{ event.payload | tojson }}"

Alert = CallWebhook | SendNotification


def ensure_automations(settings: Settings) -> list[str]:
    """Create or replace lehr's automations on the server that is in use; returns their names.

    Raises ValueError where the notification block that the settings name is not there.
    """
    wanted: list[AutomationCore] = [*_recovery(), *_alerts(_alert_actions(settings))]
    with get_client(sync_client=True) as client:
        _remove(client, {automation.name for automation in wanted})
        for automation in wanted:
            client.create_automation(automation)
    return [automation.name for automation in wanted]


def end_what_was_left(now: datetime) -> int:
    """Say of every run of lehr's that it has crashed, so that it is followed up; returns how many there were.

    For the one process that runs them all, before it starts any: whoever began them has ended, and may not have lived
    to say so. What was to be cancelled is; what a schedule has missed until now is not made up for, as the next run
    takes all that waits.
    """
    with get_client(sync_client=True) as client:
        left = _runs(client, *LEFT)
        for run in left:
            kind = StateType.CANCELLED if run.state_type == StateType.CANCELLING else StateType.CRASHED
            state = State[None](type=kind, message="its process ended with an earlier lehr up")
            client.set_flow_run_state(run.id, state, force=True)
        for run in _runs(client, StateType.SCHEDULED):
            if run.auto_scheduled and run.expected_start_time is not None and run.expected_start_time < now:
                client.delete_flow_run(run.id)
    return len(left)


def _runs(client: SyncPrefectClient, *states: StateType) -> list[FlowRun]:
    """All of lehr's runs that are in one of some states."""
    wanted = FlowRunFilter(
        tags=FlowRunFilterTags(all_=[TAG]), state=FlowRunFilterState(type=FlowRunFilterStateType(any_=[*states]))
    )
    found: list[FlowRun] = []
    while page := client.read_flow_runs(flow_run_filter=wanted, limit=PAGE, offset=len(found)):
        found += page
    return found


def _remove(client: SyncPrefectClient, wanted: set[str]) -> None:
    """Those that are to be replaced, and alerts that are no longer wanted."""
    for automation in client.read_automations():
        if automation.name in wanted or automation.name.startswith(PREFIX + "tell "):
            client.delete_automation(automation.id)


def _recovery() -> list[AutomationCore]:
    return [
        AutomationCore(
            name=f"{PREFIX}a run without a heartbeat has crashed",
            trigger=_nothing_after({HEARTBEAT}, {HEARTBEAT, *ENDS}),
            actions=[_crash(f"no heartbeat for {SILENT_SECONDS} seconds: its process has died")],
        ),
        AutomationCore(
            name=f"{PREFIX}a run that was to begin and did not has crashed",
            trigger=_nothing_after(BEGINS, NEXT | ENDS),
            actions=[_crash(f"it did not begin within {SILENT_SECONDS} seconds: who was to start it has died")],
        ),
        AutomationCore(
            name=f"{PREFIX}a crashed loop goes on",
            trigger=_when({"prefect.flow-run.Crashed"}, LINE_TAG),
            actions=[_follow_up(None)],
        ),
        AutomationCore(
            name=f"{PREFIX}a crashed request goes on",
            trigger=_when({"prefect.flow-run.Crashed"}, REQUEST_TAG),
            actions=[_follow_up({"run_key": RUN_KEY})],
        ),
    ]


def _nothing_after(events: set[str], expected: set[str]) -> EventTrigger:
    """Fires for a run of which nothing that was expected is heard after an event."""
    return EventTrigger(
        after=events,
        expect=expected,
        match=ResourceSpecification({"prefect.resource.id": ["prefect.flow-run.*"]}),
        match_related=_tagged(TAG),
        for_each={"prefect.resource.id"},
        posture=Posture.Proactive,
        threshold=1,
        within=timedelta(seconds=SILENT_SECONDS),
    )


def _crash(message: str) -> ChangeFlowRunState:
    return ChangeFlowRunState(state=StateType.CRASHED, name="Crashed", message=message, force=False)


def _follow_up(parameters: dict[str, str] | None) -> RunDeployment:
    """One more run of the deployment whose run the event is about."""
    return RunDeployment(source="inferred", deployment_id=None, parameters=parameters, job_variables=None)


def _alerts(actions: Sequence[Alert]) -> list[AutomationCore]:
    if not actions:
        return []
    runs = {f"prefect.flow-run.{name}" for name in ("Failed", "Crashed", "Late")}
    line = EventTrigger(
        expect={DRIFT, REFUSED, ROLLED_BACK},
        match=ResourceSpecification({"prefect.resource.id": ["lehr.pipeline.*"]}),
        posture=Posture.Reactive,
        threshold=1,
        within=timedelta(0),
    )
    return [
        AutomationCore(name=f"{PREFIX}tell of runs that failed", trigger=_when(runs, TAG), actions=[*actions]),
        AutomationCore(name=f"{PREFIX}tell of drift and refusals", trigger=line, actions=[*actions]),
    ]


def _when(events: set[str], tag: str) -> EventTrigger:
    return EventTrigger(
        expect=events,
        match=ResourceSpecification({"prefect.resource.id": ["prefect.flow-run.*"]}),
        match_related=_tagged(tag),
        posture=Posture.Reactive,
        threshold=1,
        within=timedelta(0),
    )


def _tagged(tag: str) -> ResourceSpecification:
    return ResourceSpecification({"prefect.resource.role": "tag", "prefect.resource.id": f"prefect.tag.{tag}"})


def _alert_actions(settings: Settings) -> list[Alert]:
    """How people are told: by the webhook and the notification block of the settings, if any."""
    actions: list[Alert] = []
    if settings.alert_webhook is not None:
        webhook = Webhook(method="POST", url=SecretStr(settings.alert_webhook))
        saved = webhook.save(ALERT_BLOCK, overwrite=True)
        assert isinstance(saved, UUID)
        payload = '{"event": "{{ event.event }}", "about": "{{ event.resource.name }}", '
        payload += '"details": {{ event.payload | tojson }}}'
        actions.append(CallWebhook(block_document_id=saved, payload=payload))
    if settings.alert_block is not None:
        document = _block_document(settings.alert_block)
        actions.append(SendNotification(block_document_id=document, subject="lehr", body=TEXT))
    return actions


def _block_document(slug: str) -> UUID:
    kind, _, name = slug.partition("/")
    with get_client(sync_client=True) as client:
        try:
            return client.read_block_document_by_name(name, kind).id
        except ObjectNotFound:
            raise ValueError(f"LEHR_ALERT_BLOCK: Prefect has no block {slug!r}; write type/name") from None
