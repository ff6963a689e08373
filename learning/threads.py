"""How many CPU threads a training uses."""

import os
from collections.abc import Callable, Generator
from contextlib import contextmanager
from time import perf_counter

import torch

LARGE_STEP = 1e9
"""Multiplications of one gradient step from which on more threads may pay; below, they only get in each other's way."""

PROBED_STEPS = 3
LEAST_GAIN = 1.2


def choose_threads(weights: int, positions: int, step: Callable[[], object]) -> int:
    """One thread for a small network; for a large one as many as a short test of `step` finds clearly faster.

    positions: rows that one step computes, batch size x window length.
    """
    available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if 6.0 * weights * positions < LARGE_STEP or available == 1:
        return 1
    one, all_of_them = _seconds(step, 1), _seconds(step, available)
    return available if one > LEAST_GAIN * all_of_them else 1


@contextmanager
def threads(count: int) -> Generator[None]:
    """Inside, torch computes with so many threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _seconds(step: Callable[[], object], count: int) -> float:
    with threads(count):
        step()
        started = perf_counter()
        for _ in range(PROBED_STEPS):
            step()
        return perf_counter() - started
