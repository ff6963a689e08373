"""Cancel: a training that a person cancels ends before its next batch, as a cancelled run and not as a crashed one."""

from prefect._internal import control_listener
from prefect.client.orchestration import get_client
from prefect.runtime import flow_run

from learning.control import EndsBetweenBatches


def ends_between_batches() -> EndsBetweenBatches:
    """A training's last callback."""
    return EndsBetweenBatches(_say_it_was_cancelled)


def _say_it_was_cancelled() -> None:
    """Leave word for Prefect's engine, which takes none while the training holds SIGTERM back."""
    with get_client(sync_client=True) as client:
        state = client.read_flow_run(flow_run.id).state
    if state is not None and state.is_cancelling():
        control_listener._set_intent("cancel")  # pyright: ignore[reportPrivateUsage]: there is no public way
