"""A child process from its start to its end, which always comes."""

import asyncio
import os
import signal
from asyncio.subprocess import DEVNULL, Process
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Literal

POLL_SECONDS = 0.2


@dataclass(frozen=True)
class Ended:
    """A process that has ended: by itself with a status, or because it was ended, and why."""

    status: int
    why: Literal["asked", "overdue"] | None = None


async def run_child(
    command: Sequence[str],
    environment: Mapping[str, str],
    log: Path,
    most_seconds: float,
    wanted: Callable[[], bool],
    end_softly: bool = False,
) -> Ended:
    """Run a command, its output in a log, until it ends, takes too long, or `wanted` says that it is not any more.

    Whoever is cancelled meanwhile ends the process too, and all that it has started. end_softly: it is told to end
    first, and has some seconds for that.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as output:
        child = await asyncio.create_subprocess_exec(
            *command, env=dict(environment), stdin=DEVNULL, stdout=output, stderr=output, start_new_session=True
        )
    try:
        why = await _follow(child, monotonic() + most_seconds, wanted)
        if why is not None and end_softly:
            await _end_softly(child)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        status = await child.wait()
    return Ended(status, why)


async def _follow(child: Process, deadline: float, wanted: Callable[[], bool]) -> Literal["asked", "overdue"] | None:
    while child.returncode is None:
        with suppress(TimeoutError):
            async with asyncio.timeout(POLL_SECONDS):
                await child.wait()
        if not await asyncio.to_thread(wanted) and child.returncode is None:
            return "asked"
        if monotonic() > deadline and child.returncode is None:
            return "overdue"
    return None


async def _end_softly(child: Process, seconds: float = 10) -> None:
    with suppress(ProcessLookupError):
        child.terminate()
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await child.wait()
