import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import polars as pl
import pytest
from deltalake import DeltaTable

from data.feature_store import FeatureStore

ROOT = Path(__file__).parents[2]
KILLS = int(os.environ.get("LEHR_KILLS", "4"))
APPEND = """
import sys
from pathlib import Path
sys.path.insert(0, "tests/data")
from test_feature_store import batch
from data.feature_store import FeatureStore
store = FeatureStore(Path(sys.argv[1]))
for number in range(1, int(sys.argv[2]) + 1):
    store.append(f"id{number}", batch(number))
    print(number, flush=True)
"""


def append(folder: Path, batches: int) -> subprocess.Popen[str]:
    """A process that appends batches from the first on."""
    command = [sys.executable, "-c", APPEND, str(folder), str(batches)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)


def batch(number: int, rows: int = 50) -> pl.DataFrame:
    split = ["train"] * (rows - 10) + ["holdout"] * 10
    return pl.DataFrame({"s1": pl.Series([float(number)] * rows, dtype=pl.Float32)}).with_columns(
        pl.lit(number, pl.Int32).alias("lehr_batch"),
        pl.int_range(1, rows + 1, dtype=pl.Int32).alias("lehr_row"),
        pl.Series("lehr_split", split),
    )


def test_a_batch_is_stored_once(tmp_path: Path) -> None:
    store = FeatureStore(tmp_path / "store")
    versions = [store.append(f"id{n}", batch(n)) for n in (1, 2, 1, 2, 3)]
    assert versions == [0, 1, 0, 1, 2]
    assert store.read().height == 150


def test_rows_come_back_by_batch_and_split_in_order(tmp_path: Path) -> None:
    store = FeatureStore(tmp_path / "store")
    for number in (2, 1, 3):
        store.append(f"id{number}", batch(number))
    held_out = store.read(batches=range(1, 3), split="holdout", columns=["s1"])
    assert held_out["lehr_batch"].to_list() == [1] * 10 + [2] * 10
    assert held_out["lehr_row"].to_list() == [*range(41, 51)] * 2
    assert held_out.columns == ["s1", "lehr_batch", "lehr_row", "lehr_split"]
    assert held_out["s1"].dtype == pl.Float32


def test_an_empty_store_says_so(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="is empty"):
        FeatureStore(tmp_path / "store").read()


def test_a_batch_is_known_after_the_log_was_checkpointed(tmp_path: Path) -> None:
    store = FeatureStore(tmp_path / "store")
    for number in range(1, 4):
        store.append(f"id{number}", batch(number))
        DeltaTable(str(store.folder)).create_checkpoint()
    assert [store.append(f"id{number}", batch(number)) for number in (1, 2, 3)] == [0, 1, 2]


def test_every_tenth_commit_is_checkpointed_and_nothing_is_lost(tmp_path: Path) -> None:
    """An append then reads at most ten commits, however many there are."""
    store = FeatureStore(tmp_path / "store")
    for number in range(1, 26):
        store.append(f"id{number}", batch(number))
    found = sorted(path.name[:20] for path in (store.folder / "_delta_log").glob("*.checkpoint.parquet"))
    assert [int(name) for name in found] == [9, 19]
    assert [store.append(f"id{number}", batch(number)) for number in (1, 10, 20, 25)] == [0, 9, 19, 24]
    assert store.read().height == 25 * 50


def test_rows_of_other_columns_are_refused_whole(tmp_path: Path) -> None:
    store = FeatureStore(tmp_path / "store")
    store.append("id1", batch(1))
    with pytest.raises(ValueError, match=r"the feature store .* holds the columns s1, .*; batch id2 has s2"):
        store.append("id2", batch(2).rename({"s1": "s2"}))
    assert store.read().equals(batch(1))


def test_processes_that_append_at_once_store_each_batch_once(tmp_path: Path) -> None:
    children = [append(tmp_path / "store", batches=8) for _ in range(3)]
    assert [len(child.communicate()[0].split()) for child in children] == [8] * 3
    counts = FeatureStore(tmp_path / "store").read().group_by("lehr_batch").len()
    assert (counts.height, set(counts["len"])) == (8, {50})


def test_a_kill_at_any_moment_loses_and_doubles_nothing(tmp_path: Path) -> None:
    """Every batch that was said to be stored is, and none is there twice, however often the writer is killed."""
    folder, generator, said = tmp_path / "store", random.Random(0), 0
    for _ in range(KILLS):
        with append(folder, batches=10_000) as child:
            assert child.stdout is not None
            first = int(child.stdout.readline())
            time.sleep(generator.uniform(0, 0.5))
            os.kill(child.pid, signal.SIGKILL)
            said = max([said, first, *map(int, child.stdout.read().split())])
        counts = FeatureStore(folder).read().group_by("lehr_batch").len()
        assert set(counts["len"]) == {50}
        assert sorted(counts["lehr_batch"]) == list(range(1, counts.height + 1))
        assert counts.height >= said
