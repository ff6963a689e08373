import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import polars as pl
import pytest

from data.feature_store import FeatureStore

CHILD = """
import sys
from pathlib import Path
sys.path.insert(0, {root!r})
from tests_child import batch
from data.feature_store import FeatureStore
store = FeatureStore(Path(sys.argv[1]))
for number in range(1, 41):
    store.append(f"id{{number}}", batch(number))
    print(number, flush=True)
"""


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


def test_a_kill_at_any_moment_loses_and_doubles_nothing(tmp_path: Path) -> None:
    """Every batch that was said to be stored is, and none is there twice, however often the writer is killed."""
    root = str(Path(__file__).parents[2])
    folder = tmp_path / "store"
    program = CHILD.format(root=root).replace(
        "from tests_child import batch",
        f"sys.path.insert(0, {str(Path(__file__).parent)!r})\nfrom test_feature_store import batch",
    )
    said = 0
    for delay in (0.6, 0.05, 0.11, 0.02):
        with subprocess.Popen([sys.executable, "-c", program, str(folder)], stdout=subprocess.PIPE, text=True) as child:
            assert child.stdout is not None
            said = max(said, int(child.stdout.readline()))
            time.sleep(delay)
            os.kill(child.pid, signal.SIGKILL)
            said = max([said, *(int(line) for line in child.stdout.read().split("\n") if line.strip())])
        counts = FeatureStore(folder).read().group_by("lehr_batch").len()
        assert set(counts["len"]) == {50}
        assert counts.height >= said
