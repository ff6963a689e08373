"""A search on the workers of a Dask cluster."""

import importlib.util
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from learning.search.halving import Halving
from learning.search.running import run_search
from tests.learning.search.searches import Bowl, make_search

pytestmark = [
    pytest.mark.operations,
    pytest.mark.timeout(300),
    pytest.mark.skipif(importlib.util.find_spec("distributed") is None, reason="no dask: pip install 'lehr[dask]'"),
]


def cluster(threads: int) -> Any:
    from distributed import LocalCluster

    return LocalCluster(n_workers=2, threads_per_worker=threads, processes=threads == 1, dashboard_address=None)


@pytest.fixture
def scheduler() -> Iterator[str]:
    with cluster(1) as found:
        yield found.scheduler_address


def test_its_workers_share_a_study(scheduler: str, tmp_path: Path) -> None:
    bowl = Bowl(tmp_path / "calls", 0.05)
    search = make_search(tmp_path, 12, "tpe", Halving())
    trials = run_search(search, bowl, scheduler)
    assert len({trial.key for trial in trials}) == 12
    assert len(trials) == bowl.calls
    assert 1 <= sum(trial.epochs == 9 for trial in trials) <= 2
    assert run_search(search, bowl, scheduler) == trials


def test_a_time_budget_holds_there_too(scheduler: str, tmp_path: Path) -> None:
    trials = run_search(make_search(tmp_path, 1000, "random"), Bowl(tmp_path / "calls", 0.05), scheduler, 2 / 60)
    assert 1 <= len(trials) < 100


def test_workers_with_several_threads_are_refused(tmp_path: Path) -> None:
    with cluster(2) as found, pytest.raises(ValueError, match="--nthreads 1"):
        run_search(make_search(tmp_path, 2), Bowl(tmp_path / "calls"), found.scheduler_address)
