"""`lehr up`: everything one machine needs, until it is told to end."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType

from deployments.definitions import definitions
from deployments.processes import LOOK_SECONDS, explain_end, only_one, started
from deployments.registry import create_store
from deployments.services import RUNNER, Service, quiet_environment, refuse_taken_ports, services_of
from deployments.settings import Settings

Say = Callable[[str], None]


def bring_up(settings: Settings, pipelines: Sequence[Path], say: Say) -> None:
    """Start all services, say where they are, and stop them when this process is told to end.

    Raises ValueError for a mistake in a pipeline file, a port that is taken, another `lehr up` for the same home, and
    a service that ends by itself.
    """
    found = definitions(pipelines)
    refuse_taken_ports(settings)
    os.environ.update(quiet_environment(settings))
    with only_one(settings.home), ExitStack() as stack:
        signal.signal(signal.SIGTERM, _end)
        create_store(settings.tracking_uri)
        try:
            _run(settings, services_of(settings, pipelines, len(found)), stack, say)
        except KeyboardInterrupt:
            say("stopping …")
    say("all stopped")


def _run(settings: Settings, services: Sequence[Service], stack: ExitStack, say: Say) -> None:
    logs = settings.home / "logs"
    running: list[tuple[Service, subprocess.Popen[bytes]]] = []
    for service in services:
        if service.name == RUNNER:
            _look_after_runs(settings, say)
        say(f"starting {service.name} …")
        running.append((service, stack.enter_context(started(service, logs))))
        if service.address is not None:
            say(f"{service.name:<12} {service.address}")
    say(f"logs         {logs}\nup; Ctrl-C or lehr down ends it")
    while True:
        for service, process in running:
            if process.poll() is not None:
                raise ValueError(explain_end(service, process, logs))
        time.sleep(LOOK_SECONDS)


def _look_after_runs(settings: Settings, say: Say) -> None:
    """Have the dead followed up, those of an earlier time among them."""
    from deployments.automations import (
        end_what_was_left,
        ensure_automations,
    )  # Prefect reads its settings when imported

    ensure_automations(settings)
    if left := end_what_was_left(datetime.now(UTC)):
        say(f"{left} runs of an earlier time had not ended; they are followed up")


def _end(number: int, frame: FrameType | None) -> None:
    """A request to end is treated like Ctrl-C."""
    sys.stdout.flush()
    raise KeyboardInterrupt
