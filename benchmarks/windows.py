"""Windows of length 128: memory of an epoch over the raw series, and time against windows that lie materialised.

`python -m benchmarks.windows` (Linux). Memory is the process's peak above what it was before the series was made, so
it counts starts, targets, order and the pieces in flight. Time is that of gathering all batches of an epoch, on one
thread, in pairs. Writes benchmarks/out/windows.json and windows.png.
"""

import statistics
from collections import deque
from multiprocessing import get_context
from pathlib import Path
from time import perf_counter

import torch
from torch import Tensor

from benchmarks.results import bar_chart, write_json
from data.samples import Samples
from learning.batches import TrainingSet, batch_sizes, batches
from models.network import Normaliser

LENGTH, BATCH_SIZE, PAIRS = 128, 256, 7
MEMORY_SHAPES = ((1_000_000, 100), (1_000_000, 40))
TIME_SHAPE = (40_000, 40)


def training_set(rows: int, channels: int) -> TrainingSet:
    """Windows that start at each row, over a random series."""
    count = rows - LENGTH + 1
    batch_numbers = torch.ones(1, dtype=torch.int64).expand(count)
    samples = Samples(torch.randn(rows, channels), torch.arange(count), LENGTH, torch.rand(count), batch_numbers)
    return TrainingSet(samples, samples.targets_B, Normaliser(channels))


def lazy_epoch(data: TrainingSet) -> None:
    """Gather all batches as the trainer does."""
    deque(batches(data, torch.randperm(len(data)), batch_sizes(len(data), BATCH_SIZE)), maxlen=0)


def materialised_epoch(data: TrainingSet, windows_MLC: Tensor) -> None:
    """Gather the same batches from all windows in one tensor, normalised already."""

    def gather(index_B: Tensor) -> tuple[Tensor, Tensor]:
        return windows_MLC.index_select(0, index_B), data.targets.index_select(0, index_B)

    deque(map(gather, torch.randperm(len(data)).split(BATCH_SIZE)), maxlen=0)


def peak_over_series(rows: int, channels: int) -> float:
    """The peak of an epoch over the bytes of the series alone."""
    torch.set_num_threads(1)
    lazy_epoch(training_set(1000, channels))
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # the peak is counted from here
    before = _status("VmRSS")
    lazy_epoch(training_set(rows, channels))
    return (_status("VmHWM") - before) / (rows * channels * 4)


def lazy_over_materialised(rows: int, channels: int) -> float:
    """The median of pairs of an epoch's gathering."""
    data = training_set(rows, channels)
    windows_MLC = data.samples.inputs()
    ratios: list[float] = []
    for _ in range(PAIRS + 1):
        started = perf_counter()
        lazy_epoch(data)
        middle = perf_counter()
        materialised_epoch(data, windows_MLC)
        ratios.append((middle - started) / (perf_counter() - middle))
    return statistics.median(ratios[1:])


def main() -> None:
    torch.set_num_threads(1)
    with get_context("spawn").Pool(1, maxtasksperchild=1) as fresh_process:
        memory = {f"{c} channels": fresh_process.apply(peak_over_series, (n, c)) for n, c in MEMORY_SHAPES}
    for name, ratio in memory.items():
        print(f"peak memory over the raw series, {name}: {ratio:.3f} (materialised: {LENGTH})")
    time = lazy_over_materialised(*TIME_SHAPE)
    print(f"time of gathering over that of materialised windows: {time:.2f}")
    write_json("windows", {"peak_over_series": memory, "lazy_over_materialised": time})
    panels = {"peak memory over the series": memory, "time over materialised": {"lazy": time}}
    bar_chart("windows", f"Lazy windows of length {LENGTH}", panels)


def _status(key: str) -> int:
    """Bytes that the kernel reports of this process."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(key))


if __name__ == "__main__":
    main()
