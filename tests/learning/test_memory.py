from pathlib import Path

import polars as pl
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from data.samples import Samples
from learning.memory import Memory, empty_memory
from tests.learning.streams import make_batch


def fill(capacity: int, counts: list[int], length: int = 1) -> Memory:
    torch.manual_seed(0)
    memory = empty_memory(make_batch(1, "regression", length))
    for number, count in enumerate(counts, start=1):
        memory = memory.absorb(make_batch(number, "regression", length, count), capacity)
    return memory


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 40), st.lists(st.integers(1, 30), min_size=1, max_size=6), st.integers(1, 3))
def test_it_keeps_the_latest_and_stands_for_all(capacity: int, counts: list[int], length: int) -> None:
    memory = fill(capacity, counts, length)
    latest = len(memory) - memory.reservoir_count
    assert latest == min(sum(counts), (capacity + 1) // 2)
    assert memory.reservoir_count == min(sum(counts) - latest, capacity // 2)
    assert memory.evicted == sum(counts) - latest
    if capacity > 1:
        assert abs(float(memory.weights.sum()) - sum(counts)) < 1e-6


def test_the_oldest_batch_leaves_first() -> None:
    memory = fill(100, [40, 40, 40])
    latest = memory.samples.batches_B[memory.reservoir_count :]
    assert latest.bincount().tolist() == [0, 0, 10, 40]
    assert set(memory.samples.batches_B[: memory.reservoir_count].tolist()) <= {1, 2}


def test_within_a_batch_chance_decides_who_leaves() -> None:
    rows = torch.arange(1000.0)[:, None]
    sorted_batch = Samples(rows, torch.arange(1000), 1, rows[:, 0], torch.ones(1000, dtype=torch.int64))
    torch.manual_seed(0)
    memory = empty_memory(sorted_batch).absorb(sorted_batch, 200)
    latest = memory.samples.targets_B[memory.reservoir_count :]
    assert 400 < float(latest.mean()) < 600
    assert len(memory.samples.targets_B.unique()) == 200


def test_every_evicted_sample_has_the_same_chance() -> None:
    kept = torch.zeros(41)
    for seed in range(200):
        torch.manual_seed(seed)
        memory = empty_memory(make_batch(1, "regression"))
        for number in range(1, 41):
            memory = memory.absorb(make_batch(number, "regression", count=5), 20)
        kept += memory.samples.batches_B[: memory.reservoir_count].bincount(minlength=41)
    assert float(kept[1:39].min()) > 25
    assert float(kept[1:39].max()) < 85


def test_it_comes_back_from_its_frame() -> None:
    for length, task in ((1, "classification"), (4, "regression")):
        torch.manual_seed(0)
        memory = empty_memory(make_batch(1, task, length)).absorb(make_batch(1, task, length), 60)
        again = Memory.from_frame(memory.to_frame())
        assert (again.reservoir_count, again.evicted) == (memory.reservoir_count, memory.evicted)
        assert torch.equal(again.samples.inputs(), memory.samples.inputs())
        assert torch.equal(again.samples.targets_B, memory.samples.targets_B)
        assert again.samples.targets_B.dtype == memory.samples.targets_B.dtype
        assert torch.equal(again.samples.batches_B, memory.samples.batches_B)


def test_an_empty_memory_comes_back_too(tmp_path: Path) -> None:
    memory = empty_memory(make_batch(1, "classification", 4))
    memory.to_frame().write_parquet(tmp_path / "memory.parquet")
    again = Memory.from_frame(pl.read_parquet(tmp_path / "memory.parquet"))
    assert len(again) == 0
    assert again.samples.inputs().shape == (0, 4, 3)
