"""The triplet loss beside pytorch-metric-learning's over all triplets, and what a batch of the sampler costs.

`python -m benchmarks.metric_learning [--rounds 15]`. Both compute the same loss forward and backward, in one process
and in turn, on one thread; the median of each round's ratios is reported, and how far losses and gradients are apart.
The peer comes with `pip install 'lehr[bench]'`; where it is not installed it is left out, which is said. Writes
benchmarks/out/metric_learning.json and metric_learning.png.
"""

import argparse
import statistics
from collections.abc import Callable
from importlib.util import find_spec
from time import perf_counter, process_time
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from benchmarks.results import bar_chart, write_json
from learning.samplers import HierarchicalSampler
from learning.triplets import Miner, distances, triplet_loss

MARGIN, DIMENSIONS, SIGNALS_OF_AN_ELEMENT = 0.3, 64, 8
BATCH_SIZES = (64, 256)
ELEMENTS = (10, 1_000, 100_000)
PEER = "pytorch_metric_learning"

Loss = Callable[[Tensor, Tensor], Tensor]


def ours(embeddings_BE: Tensor, elements_B: Tensor, miner: Miner = "all") -> Tensor:
    """The element triplets of a batch."""
    same_BB = elements_B[:, None] == elements_B
    pairs_BB = same_BB & ~torch.eye(len(elements_B), dtype=torch.bool)
    return triplet_loss(distances(embeddings_BE), pairs_BB, ~same_BB, MARGIN, miner)


def theirs() -> Loss:
    """TripletMarginLoss as it is by default: every triplet, and the mean over those that cost something."""
    from pytorch_metric_learning.losses import TripletMarginLoss  # pyright: ignore[reportMissingImports]

    loss: Any = TripletMarginLoss(margin=MARGIN)
    return loss


def batch(size: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(size)
    embeddings_BE = functional.normalize(torch.randn(size, DIMENSIONS, generator=generator))
    return embeddings_BE, torch.arange(size) // SIGNALS_OF_AN_ELEMENT


def step(loss: Loss, embeddings_BE: Tensor, elements_B: Tensor) -> tuple[float, Tensor, float]:
    """The loss of normalised embeddings, its gradient, and the seconds that both took."""
    free_BE = embeddings_BE.clone().requires_grad_()
    started = perf_counter()
    value = loss(functional.normalize(free_BE), elements_B)
    value.backward()
    assert free_BE.grad is not None
    return value.item(), free_BE.grad, perf_counter() - started


def beside_the_peer(size: int, rounds: int) -> dict[str, float]:
    """How many times as long the peer takes, and the largest differences of losses and of gradients."""
    embeddings_BE, elements_B = batch(size)
    peer, ratios, gaps = theirs(), list[float](), list[tuple[float, float]]()
    for number in range(rounds + 1):
        loss, gradient, seconds = step(ours, embeddings_BE, elements_B)
        peers_loss, peers_gradient, peers_seconds = step(peer, embeddings_BE, elements_B)
        gaps += [(abs(loss - peers_loss), float((gradient - peers_gradient).abs().max()))]
        if number:  # the first round warms up
            ratios.append(peers_seconds / seconds)
    losses_apart, gradients_apart = (max(of_a_kind) for of_a_kind in zip(*gaps, strict=True))
    ratio = statistics.median(ratios)
    return {"peer over ours": ratio, "losses apart": losses_apart, "gradients apart": gradients_apart}


def sampler_costs(elements: int) -> dict[str, float]:
    """Seconds of processor time to start on 10 signals of each element, and of a batch of 8 × 8 after that."""
    element_ids, session_ids = np.repeat(np.arange(elements), 10), np.tile(np.arange(10) // 4, elements)
    started = process_time()
    sampler = HierarchicalSampler(element_ids, session_ids, batches=500)
    batches = iter(sampler)
    next(batches)
    ready = process_time()
    given = sum(1 for _ in batches)
    return {"start_seconds": ready - started, "batch_ms": 1000 * (process_time() - ready) / given}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    results: dict[str, Any] = {"sampler": {str(n): sampler_costs(n) for n in ELEMENTS}}
    for elements, costs in results["sampler"].items():
        print(f"{elements} elements: start {costs['start_seconds']:.2f} s, a batch {costs['batch_ms']:.2f} ms")
    if find_spec(PEER) is None:
        print("pytorch-metric-learning is not installed and left out: pip install 'lehr[bench]'")
    else:
        results["triplets"] = {str(size): beside_the_peer(size, arguments.rounds) for size in BATCH_SIZES}
        for size, figures in results["triplets"].items():
            print(f"batch {size}: " + ", ".join(f"{name} {value:.3g}" for name, value in figures.items()))
        ratios = {f"B = {size}": {"ours": 1.0, "peer": f["peer over ours"]} for size, f in results["triplets"].items()}
        bar_chart("metric_learning", "Triplet loss, forward and backward, over ours", ratios)
    write_json("metric_learning", results)


if __name__ == "__main__":
    main()
