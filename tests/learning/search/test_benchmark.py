from pathlib import Path

import pytest

from benchmarks.tuning import compare, overhead_ms, summarise
from tests.learning.streams import make_batch, make_history


def test_the_benchmark_in_small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LEHR_HOME", str(tmp_path))
    known, unseen = make_history(range(1, 3), "regression", 4), make_batch(3, "regression", 4)
    run = compare(known, unseen, seed=0, trials=3, epochs=4)
    means = summarise([run])
    assert means["samples of halving"] < 1
    assert set(run) == {"default", "full trials", "halving"}
    assert overhead_ms(5) > 0
