"""`python -m deployments.submitting DEPLOYMENT FOLDER KEY`: a retraining job's training in a work pool of Prefect's.

It waits until the run has ended; SIGTERM cancels the run, any other end of this process leaves it at work: the same key
follows it again. Exit status 0: the run is completed.
"""

import asyncio
import signal
import sys
from typing import Any

from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import FlowRun
from prefect.deployments.flow_runs import arun_deployment
from prefect.exceptions import ObjectNotFound
from prefect.flow_runs import wait_for_flow_run
from prefect.states import Cancelling

MOST_SECONDS = 10**7
"""The service says when it has taken too long."""


async def submit(deployment: str, folder: str, key: str) -> str | None:
    """Run the deployment of `train-job` on a job's folder, as seen from home; None, or why it was not completed."""
    asked: dict[str, Any] = {"parameters": {"folder": folder}, "idempotency_key": key}
    try:
        run = await arun_deployment(deployment, **asked, timeout=0, as_subflow=False)
    except ObjectNotFound:
        return f"Prefect has no deployment {deployment}: lehr deploy, or lehr up"
    waiting = asyncio.ensure_future(wait_for_flow_run(run.id, timeout=MOST_SECONDS))
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, waiting.cancel)
    try:
        state = (await waiting).state
    except asyncio.CancelledError:
        await _cancel(run)
        return "its run in the work pool was cancelled"
    if state is not None and state.is_completed():
        return None
    return f"its run {run.name} in the work pool ended as {state.name if state else 'nothing'}"


async def _cancel(run: FlowRun) -> None:
    async with get_client() as client:
        await client.set_flow_run_state(run.id, Cancelling(), force=True)


if __name__ == "__main__":
    sys.exit(asyncio.run(submit(*sys.argv[1:4])))
