"""What a round of ten nodes costs beside its local training, in one process, plain and with secure aggregation.

`python -m benchmarks.round_cost [--seeds 3]`: the processor's seconds in ten rounds of ten glass lines over those in
the nodes' own gradient steps (an MLP of 3,428 weights, batches of 64), by how long a node learns in a round. The rest
is asking, checking, summing and, where it is secure, shares and masks; nothing waits for a disk or a network here.
Writes benchmarks/out/round_cost.json (a minute).
"""

import argparse
from collections.abc import Mapping
from statistics import median
from time import process_time
from typing import Any

import torch

from benchmarks.federation import Stream, lines, together
from benchmarks.results import write_json
from learning.federation import node as node_module
from learning.federation.run import Ask, Participant, ask_in_turn

ROUNDS = 10
SIZES = ((1, 1), (2, 1), (3, 1), (3, 2), (3, 4))
"""Deliveries of 600 rows at each node, of which four fifths are learned from, and epochs in a round."""


def cost(stream: Stream, seed: int, rounds: int, secure: bool, epochs: int = 1) -> tuple[float, float]:
    """The processor's time in all rounds over that in nodes' steps, and a node's milliseconds of steps in a round."""
    inside, original = [0.0], node_module.learn_locally

    def timed(*given: Any) -> Any:
        began = process_time()
        steps = original(*given)
        inside[0] += process_time() - began
        return steps

    began: list[float] = []

    def noting(nodes: Mapping[str, Participant]) -> Ask:
        def ask(kind: str, number: int, questions: Mapping[str, bytes]) -> Any:
            if number == 1 and not began:  # all have joined
                began.append(process_time())
            return ask_in_turn(nodes)(kind, number, questions)

        return ask

    node_module.learn_locally = timed
    try:
        together(stream, seed, rounds, secure=secure, local_epochs=epochs, ask=noting)
        return (process_time() - began[0]) / inside[0], 1e3 * inside[0] / rounds / len(stream.learned)
    finally:
        node_module.learn_locally = original


def main() -> None:
    """Measure, print and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=3)
    seeds = range(parser.parse_args().seeds)
    torch.set_num_threads(1)
    found: dict[str, dict[str, float]] = {}
    for batches, epochs in SIZES:
        streams = {seed: lines(seed, batches, skew=None) for seed in seeds}
        cost(streams[0], 0, 1, True, epochs)  # the first one warms up
        for kind in ("plain", "secure"):
            runs = [cost(stream, seed, ROUNDS, kind == "secure", epochs) for seed, stream in streams.items()]
            over, node_ms = (median(run[i] for run in runs) for i in (0, 1))
            found[f"{kind}, {batches} × 600 rows, epochs {epochs}"] = {"over": over, "node_ms": node_ms}
            print(f"{kind}: {over:.3f} × its training where a node learns for {node_ms:.1f} ms", flush=True)
    write_json("round_cost", found)


if __name__ == "__main__":
    main()
