"""Epoch time of the trainer over the bare step's floor, and of its peers over the same floor.

`python -m benchmarks.training [--pairs 9] [--steps 200] [--no-peers]`. The floor is forward, backward and fused AdamW
on one fixed batch, as often as an epoch has batches. All run in one process and in turn, on one thread, and the median
of each round's ratios is reported: absolute times say little on a shared machine. A peer that is not installed is left
out and named. Writes benchmarks/out/training.json and training.png.
"""

import argparse
import contextlib
import io
import logging
import statistics
import warnings
from collections.abc import Callable
from importlib.util import find_spec
from time import perf_counter

import torch

from benchmarks.peers import PEERS
from benchmarks.results import bar_chart, write_json
from benchmarks.workload import LEARNING_RATE, MODELS, WEIGHT_DECAY, Workload
from learning.callbacks import Callback
from learning.config import TrainingConfig
from learning.losses import make_loss
from learning.normalisation import fit_normalisers
from learning.optimisers import AdamW, make_optimiser
from learning.state import TrainingState
from learning.trainer import Trainer

BATCH_SIZES = (32, 256)


class _Learning(Callback):
    """Seconds from the start of an epoch to its validation, and the batches between."""

    def __init__(self) -> None:
        self.seconds = self._started = 0.0
        self.steps = 0

    def epoch_start(self, state: TrainingState) -> None:
        self._started = perf_counter()

    def validation_start(self, state: TrainingState) -> None:
        self.seconds, self.steps = perf_counter() - self._started, state.step


def lehr_seconds(workload: Workload) -> float:
    """The second epoch's learning, for as many batches as the floor has: what is held back is not learned."""
    samples, network, listener = workload.samples(), workload.network(), _Learning()
    fit_normalisers(network, samples)
    config = TrainingConfig(epochs=2, batch_size=workload.batch_size, learning_rate=LEARNING_RATE, threads=1)
    Trainer(network, samples, config, [listener]).run()
    return listener.seconds * workload.steps / listener.steps


def floor_seconds(workload: Workload) -> float:
    """Bare steps on one batch that is there already."""
    network, loss = workload.network(), make_loss(None, "classification")
    optimiser = make_optimiser(network.parameters(), AdamW(), LEARNING_RATE, WEIGHT_DECAY)
    inputs, targets = (tensor[: workload.batch_size].clone() for tensor in workload.tensors())
    started = perf_counter()
    for _ in range(workload.steps):
        optimiser.zero_grad()
        loss(network.normalised_outputs(inputs), targets, None).backward()
        optimiser.step()
    return perf_counter() - started


def trainers(peers: bool) -> dict[str, Callable[[Workload], float]]:
    """lehr and, with each one's settings, the peers that are installed."""
    found: dict[str, Callable[[Workload], float]] = {"lehr": lehr_seconds}
    for name, seconds in PEERS.items() if peers else ():
        if find_spec(name.lower()) is None:
            print(f"{name} is not installed and left out: pip install 'lehr[bench]'")
            continue
        found[f"{name}, same settings"] = lambda w, s=seconds: s(w, "same")
        found[f"{name}, its defaults"] = lambda w, s=seconds: s(w, "defaults")
    return found


def measure(workload: Workload, contestants: dict[str, Callable[[Workload], float]], rounds: int) -> dict[str, float]:
    """Each contestant's median ratio to the floor of the same round; one round before the first is not counted."""
    ratios: dict[str, list[float]] = {name: [] for name in contestants}
    for number in range(rounds + 1):
        for name, seconds in contestants.items():
            before = floor_seconds(workload)
            measured = _quietly(seconds, workload)
            floor = (before + floor_seconds(workload)) / 2
            if number > 0:
                ratios[name].append(measured / floor)
    return {name: statistics.median(values) for name, values in ratios.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--steps", type=int, default=100, help="batches of an epoch; the MLP has five times as many")
    parser.add_argument("--no-peers", action="store_true")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    contestants = trainers(not arguments.no_peers)
    results: dict[str, dict[str, float]] = {}
    for model in MODELS:
        for batch_size in BATCH_SIZES:
            steps = arguments.steps * (5 if model.architecture == "mlp" else 1)
            title = f"{model.architecture}, batch {batch_size}"
            results[title] = measure(Workload(model, batch_size, steps), contestants, arguments.rounds)
            print(f"{title:<20}" + "   ".join(f"{name} {ratio:.2f}" for name, ratio in results[title].items()))
    write_json("training", results)
    bar_chart("training", "Epoch time over the bare step (1.0), CPU, one thread", results)


def _quietly(seconds: Callable[[Workload], float], workload: Workload) -> float:
    """Without what the peers print, which would otherwise be timed on the terminal."""
    logging.disable(logging.WARNING)
    silent, silent_errors = contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO())
    with silent, silent_errors, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        measured = seconds(workload)
    logging.disable(logging.NOTSET)
    return measured


if __name__ == "__main__":
    main()
