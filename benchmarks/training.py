"""Epoch time of the trainer over the bare step's floor: forward, backward and fused AdamW on one fixed batch.

Both run in one process and in turn, and the median of the pairs' ratios is reported: absolute times say little on a
shared machine. Writes benchmarks/out/training.json.
"""

import json
import statistics
from pathlib import Path
from time import perf_counter

import torch

from data.samples import Samples
from learning.config import TrainingConfig
from learning.losses import mean_loss
from learning.trainer import batches, falling_rates, make_optimiser, run_epoch
from models.config import MlpConfig
from models.network import Network, build_network

ROWS, FEATURES, CLASSES, PAIRS = 16_384, 20, 4, 15
OUT = Path(__file__).parent / "out"


def samples(seed: int) -> Samples:
    """Random rows with a learnable class."""
    generator = torch.Generator().manual_seed(seed)
    rows_NC = torch.randn(ROWS, FEATURES, generator=generator)
    targets_B = rows_NC[:, :CLASSES].argmax(1)
    return Samples(rows_NC, torch.arange(ROWS), 1, targets_B, torch.ones(ROWS, dtype=torch.int64))


def fresh(batch_size: int) -> tuple[Network, TrainingConfig]:
    torch.manual_seed(0)
    network = build_network(MlpConfig(), FEATURES, CLASSES, "classification")
    return network.train(), TrainingConfig(batch_size=batch_size)


def floor_seconds(data: Samples, batch_size: int) -> float:
    """As many bare steps as an epoch has, on one batch that is there already."""
    network, config = fresh(batch_size)
    optimiser = make_optimiser(network.parameters(), config)
    inputs, targets_B = data.inputs(torch.arange(batch_size)), data.targets_B[:batch_size]
    started = perf_counter()
    for _ in range(ROWS // batch_size):
        optimiser.zero_grad()
        mean_loss(network.normalised_outputs(inputs), targets_B, None).backward()
        optimiser.step()
    return perf_counter() - started


def epoch_seconds(data: Samples, batch_size: int) -> float:
    """One epoch as the trainer runs it: permutation, gathering, steps, losses and the check for finite ones."""
    network, config = fresh(batch_size)
    optimiser = make_optimiser(network.parameters(), config)
    rates = falling_rates(ROWS // batch_size, config.learning_rate)
    started = perf_counter()
    run_epoch(network, optimiser, batches(data, torch.randperm(ROWS), batch_size), rates)
    return perf_counter() - started


def main() -> None:
    torch.set_num_threads(1)
    data, results = samples(0), list[dict[str, float]]()
    for batch_size in (32, 256):
        pairs = [(epoch_seconds(data, batch_size), floor_seconds(data, batch_size)) for _ in range(PAIRS + 2)][2:]
        ratio = statistics.median(epoch / floor for epoch, floor in pairs)
        step_us = 1e6 * statistics.median(floor for _, floor in pairs) * batch_size / ROWS
        results.append({"batch_size": batch_size, "epoch_over_floor": ratio, "floor_step_us": step_us})
        print(f"MLP, batch {batch_size}: epoch / floor {ratio:.3f} (bare step {step_us:.0f} µs)")
    OUT.mkdir(exist_ok=True)
    (OUT / "training.json").write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
