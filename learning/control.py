"""Steering a training that runs: pause and cancel between two batches."""

import signal
from collections.abc import Callable, Generator
from contextlib import contextmanager
from time import perf_counter
from types import FrameType

from learning.callbacks import Callback
from learning.state import TrainingState

OUTCOMES = {"pause": "paused", "cancel": "cancelled"}

READ_EVERY_SECONDS = 0.05
"""So often the wish is read: a read of the ledger costs as much as a small network's step."""


class Control(Callback):
    """Ends the training before its next batch once `desired` says `pause` or `cancel` instead of `run`.

    A paused training goes on from its checkpoint when it is fitted again.
    """

    def __init__(self, desired: Callable[[], str], every_seconds: float = READ_EVERY_SECONDS) -> None:
        self._desired = desired
        self._every_seconds = every_seconds
        self._read_at = -every_seconds

    def batch_start(self, state: TrainingState) -> None:
        """Read the wish, if the last reading is old."""
        now = perf_counter()
        if now - self._read_at >= self._every_seconds:
            self._read_at = now
            outcome = OUTCOMES.get(self._desired())
            if outcome is not None:
                state.stop(outcome)


@contextmanager
def pause_on_sigterm() -> Generator[Control]:
    """Inside, SIGTERM pauses the training that has this control; only in a process's main thread."""
    wish = "run"

    def pause(number: int, frame: FrameType | None) -> None:
        nonlocal wish
        wish = "pause"

    before = signal.signal(signal.SIGTERM, pause)
    try:
        yield Control(lambda: wish, every_seconds=0.0)
    finally:
        signal.signal(signal.SIGTERM, before)
