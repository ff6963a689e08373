"""Adaptive micro-batching: requests that come while the network computes are answered together by its next run.

Nothing waits for company: an idle network answers one request at once, a busy one many at a time. What takes less
time than handing it to a thread is computed where it came in.
Shapes: B samples of one request, N samples of a run.
"""

import asyncio
import os
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from deployments.scoring import OnnxModel

MOST_AT_ONCE = 4096
MOST_WAITING = 65_536
QUICK_SECONDS = 0.0002
"""A run that is handed to a thread and back costs as much by itself."""
MOST_TRIES, TRY_SECONDS = 20, 0.05
"""Of one size, before its pace is known."""
NEARLY = 0.95
"""Of the most samples a second: fewer at once that reach so much of it are answered sooner."""
CORES = len(os.sched_getaffinity(0))

Array = NDArray[np.float32]


class TooBusyError(Exception):
    """More samples wait than will be answered soon."""


@dataclass(frozen=True)
class Pace:
    """How a network is best asked.

    quick: so many readings, over all samples, are answered within `QUICK_SECONDS`. at_once: requests are joined up to
    so many samples: past them a recurrent network outgrows the processor's caches, and takes longer for each.
    """

    quick: int = 0
    at_once: int = MOST_AT_ONCE


UNKNOWN = Pace()


@dataclass(frozen=True)
class _Waiting:
    inputs: Array
    answer: asyncio.Future[Array]


class Batcher:
    """One network's queue; used from one event loop. threads: of its own, each computing one run at a time."""

    def __init__(self, model: OnnxModel, pace: Pace = UNKNOWN, threads: int = CORES) -> None:
        self._model, self._pace, self._threads = model, pace, threads
        self._pool = ThreadPoolExecutor(threads, "infer")
        self._waiting: list[_Waiting] = []
        self._samples = 0
        self._at_work = 0
        self._tasks = set[asyncio.Task[None]]()

    async def infer(self, inputs: Array) -> Array:
        """Predictions of readings (B, C) or (B, L, C); raises TooBusyError where too much waits already."""
        if self._samples + len(inputs) > max(MOST_WAITING, len(inputs)):
            raise TooBusyError
        if not self._at_work and inputs.size <= self._pace.quick:
            return self._model.predict(inputs)
        waiting = _Waiting(inputs, asyncio.get_running_loop().create_future())
        self._waiting.append(waiting)
        self._samples += len(inputs)
        if self._at_work < self._threads:
            self._at_work += 1
            task = asyncio.create_task(self._work())
            self._tasks.add(task)  # or nothing would hold it
            task.add_done_callback(self._tasks.discard)
        return await waiting.answer

    async def _work(self) -> None:
        loop = asyncio.get_running_loop()
        while taken := self._take():
            try:
                joined = taken[0].inputs if len(taken) == 1 else np.concatenate([w.inputs for w in taken])
                outputs = await loop.run_in_executor(self._pool, self._model.predict, joined)
            except Exception as error:  # noqa: BLE001  # whoever waits is told
                for waiting in taken:
                    if not waiting.answer.done():
                        waiting.answer.set_exception(error)
                continue
            start = 0
            for waiting in taken:
                end = start + len(waiting.inputs)
                if not waiting.answer.done():
                    waiting.answer.set_result(outputs[start:end])
                start = end
        self._at_work -= 1

    def _take(self) -> list[_Waiting]:
        """What waits longest, and all of the same shape that still fits."""
        if not self._waiting:
            return []
        shape, count = self._waiting[0].inputs.shape[1:], 0
        taken: list[_Waiting] = []
        left: list[_Waiting] = []
        for waiting in self._waiting:
            size = len(waiting.inputs)
            fits = waiting.inputs.shape[1:] == shape and (not taken or count + size <= self._pace.at_once)
            (taken if fits else left).append(waiting)
            count += size if fits else 0
        self._waiting, self._samples = left, self._samples - count
        return taken


def pace_of(model: OnnxModel, window_length: int) -> Pace:
    """The network's pace, tried with up to 512 samples."""
    tried: dict[int, float] = {}
    quick = 0
    for samples in (1, 8, 64, 512):
        inputs = np.repeat(model.zeros(window_length), samples, axis=0)
        tried[samples] = _least_seconds(model, inputs)
        quick = inputs.size if tried[samples] <= QUICK_SECONDS else quick
    most = max(samples / seconds for samples, seconds in tried.items())
    fastest = min(samples for samples, seconds in tried.items() if samples / seconds >= NEARLY * most)
    return Pace(quick, MOST_AT_ONCE if fastest == max(tried) else fastest)


def _least_seconds(model: OnnxModel, inputs: Array) -> float:
    """What a run takes when nothing else is at work: the shortest of some."""
    taken: list[float] = []
    while len(taken) < 3 or (len(taken) < MOST_TRIES and sum(taken) < TRY_SECONDS):
        taken.append(_seconds(model, inputs))
    return min(taken)


def _seconds(model: OnnxModel, inputs: Array) -> float:
    began = time.perf_counter()
    model.predict(inputs)
    return time.perf_counter() - began
