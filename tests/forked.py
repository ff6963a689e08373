"""Processes to be killed, forked from one that has imported what they need: each starts in tenths of a second."""

import multiprocessing
from collections.abc import Callable, Sequence
from multiprocessing.process import BaseProcess

_context = multiprocessing.get_context("forkserver")


def fork(target: Callable[..., None], *args: str, needs: Sequence[str] = ()) -> BaseProcess:
    """A new process, already started, that calls a function of a module of the tests.

    The first call imports that module, and those it needs, for all that are forked later; the fork server itself has
    no thread.
    """
    _context.set_forkserver_preload([target.__module__, *needs])
    process = _context.Process(target=target, args=args)
    process.start()
    return process
