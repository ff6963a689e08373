"""Served: whether what the champion is asked drifts, told when it begins."""

from datetime import datetime

from prefect import get_run_logger, task
from prefect.cache_policies import NO_CACHE

from deployments.line import Line, tell_others
from deployments.served_looks import keep_look, look_at_served
from tasks.announce import announce


@task(name="served", task_run_name="served {line.name}", cache_policy=NO_CACHE)
def watch_what_is_served(line: Line, at: datetime) -> str | None:
    """Look as often as the budget allows, and announce drift that has begun; what was told, if anything."""
    looked = look_at_served(line, at)
    if looked is None:
        return None
    if looked.told is not None:
        get_run_logger().info(looked.told.payload["reason"])
        announce(line, looked.about, [looked.told])
    keep_look(line.folder, looked.look)
    tell_others(line)
    return None if looked.told is None else looked.told.payload["reason"]
