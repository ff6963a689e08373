"""Processes to be killed, forked from one that has imported what they need: each starts in tenths of a second."""

import multiprocessing
from collections.abc import Callable, Sequence
from multiprocessing.context import ForkServerContext
from multiprocessing.process import BaseProcess
from typing import Any

_context = multiprocessing.get_context("forkserver")


def forking(*modules: str) -> ForkServerContext:
    """What starts such processes; the first call imports these modules for all, and the fork server has no thread."""
    _context.set_forkserver_preload([*modules])
    return _context


def fork(target: Callable[..., None], *args: Any, needs: Sequence[str] = ()) -> BaseProcess:
    """A new process, already started, that calls a function of a module of the tests, which needs these others."""
    process = forking(target.__module__, *needs).Process(target=target, args=args)
    process.start()
    return process
