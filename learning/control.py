"""Steering a training that runs: pause and cancel between two batches."""

import gc
import signal
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from time import perf_counter
from types import FrameType
from typing import Any

from learning.callbacks import Followed, Listener

OUTCOMES = {"pause": "paused", "cancel": "cancelled"}

READ_EVERY_SECONDS = 0.02
"""So often the wish is read: a read of the ledger costs as much as a small network's step."""


class Control(Listener[Followed]):
    """Ends the training before its next batch once `desired` says `pause` or `cancel` instead of `run`.

    A paused training goes on from its checkpoint when it is fitted again.
    """

    def __init__(self, desired: Callable[[], str], every_seconds: float = READ_EVERY_SECONDS) -> None:
        self._desired = desired
        self._every_seconds = every_seconds
        self._read_at = -every_seconds

    def batch_start(self, state: Followed) -> None:
        """Read the wish, if the last reading is old."""
        now = perf_counter()
        if now - self._read_at >= self._every_seconds:
            self._read_at = now
            outcome = OUTCOMES.get(self._desired())
            if outcome is not None:
                state.stop(outcome)


class ShortCollections(Listener[Followed]):
    """Exempts what is there when the training begins from garbage collection, in this process for good.

    A full collection looks through all of torch's objects, a quarter of a second in which no pause is heard.
    """

    def fit_start(self, state: Followed) -> None:
        """All is imported and built by now."""
        gc.freeze()


class EndsBetweenBatches(Listener[Followed]):
    """Lets SIGTERM, which is how Prefect cancels, wait for the training's next batch; then it takes its usual effect.

    The last of a training's callbacks, as what that raises ends the others' turn. It does nothing outside a process's
    main thread, where no signal arrives. before: called just before that.
    """

    def __init__(self, before: Callable[[], None] = lambda: None) -> None:
        self._before = before
        self._usual: Any = None
        self._asked = False

    def fit_start(self, state: Followed) -> None:
        """From here on a request to end is noted."""
        if threading.current_thread() is threading.main_thread():
            self._usual = signal.signal(signal.SIGTERM, self._note)

    def batch_start(self, state: Followed) -> None:
        """End the training before this batch if that was asked for."""
        if self._asked:
            state.stop("cancelled")

    def fit_end(self, state: Followed) -> None:
        """What was asked for takes its effect, if anything was."""
        if self._usual is None:
            return
        signal.signal(signal.SIGTERM, self._usual)
        if self._asked:
            self._before()
            signal.raise_signal(signal.SIGTERM)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self._asked = True


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
