"""A search on the workers of a Dask cluster, which share the study's storage and its folder."""

import pickle
from time import monotonic
from typing import Any

from learning.search.study import Study

MISSING = "a Dask scheduler's address needs Dask, which is not installed: pip install --editable '.[dask]'"


def work_on_cluster(scheduler: str, packed: bytes, until: float | None) -> None:
    """Let every worker take part until the budget is spent; the part of one that is lost goes to another.

    packed: a pickled `Search` and its `Evaluate`. until: `time.monotonic` here. Raises ValueError where Dask is not
    installed, the scheduler does not answer, or a worker has several threads.
    """
    try:
        from distributed import Client  # pyright: ignore[reportMissingImports, reportUnknownVariableType]
    except ImportError:
        raise ValueError(MISSING) from None
    try:
        client: Any = Client(scheduler)
    except OSError as error:
        raise ValueError(f"no Dask scheduler answers at {scheduler}: {error}") from None
    with client:
        threads: dict[str, int] = client.nthreads()
        if not threads or max(threads.values()) > 1:  # a training's randomness is its process's
            raise ValueError(f"the workers of {scheduler} need one thread each: dask worker {scheduler} --nthreads 1")
        left = None if until is None else max(0.0, until - monotonic())
        shared = client.scatter(packed, broadcast=True)
        parts = [client.submit(_work, shared, number, left, pure=False) for number in range(1, len(threads) + 1)]
        client.gather(parts)


def _work(packed: bytes, worker: int, seconds: float | None) -> None:
    until = None if seconds is None else monotonic() + seconds
    search, evaluate = pickle.loads(packed)
    Study(search, worker).work(evaluate, until)
