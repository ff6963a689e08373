"""A search in this process, in several or on a cluster; a worker that is killed leaves its trial to the others."""

import multiprocessing
import pickle
from time import monotonic

from learning.search.cluster import work_on_cluster
from learning.search.study import Evaluate, Search, Study, Trial

Workers = int | str
"""So many processes of this machine, or the address of a Dask scheduler, whose workers then take part."""


def run_search(search: Search, evaluate: Evaluate, workers: Workers = 1, minutes: float | None = None) -> list[Trial]:
    """Measure points until the budget of trials or of minutes is spent; returns all that the study knows.

    In one process the same search finds the same to the bit, also where it was killed and goes on, as long as what is
    measured is no time. What several workers leave is finished in this one.
    Raises ValueError for a budget of nothing, and ChildProcessError where every worker was killed.
    """
    if (isinstance(workers, int) and workers < 1) or (minutes is not None and minutes <= 0):
        raise ValueError(f"processes and minutes must be above 0, not {workers} and {minutes}")
    until = None if minutes is None else monotonic() + 60 * minutes
    study = Study(search)
    if isinstance(workers, str):
        work_on_cluster(workers, _packed(search, evaluate), until)
    elif workers > 1:
        _work_together(_packed(search, evaluate), workers, until)
    study.work(evaluate, until)
    return study.trials()


def _packed(search: Search, evaluate: Evaluate) -> bytes:
    """Whole, so that no worker needs this process to read its data."""
    return pickle.dumps((search, evaluate))


def _work_together(packed: bytes, processes: int, until: float | None) -> None:
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=_work, args=(packed, i, until)) for i in range(1, processes + 1)]
    for worker in workers:
        worker.start()
    try:
        for worker in workers:
            worker.join()
    finally:
        for worker in workers:
            worker.terminate()
    if all(worker.exitcode is not None and worker.exitcode < 0 for worker in workers):
        raise ChildProcessError(f"all {processes} workers were killed; what they finished is kept, run it again")


def _work(packed: bytes, worker: int, until: float | None) -> None:
    search, evaluate = pickle.loads(packed)
    Study(search, worker).work(evaluate, until)
