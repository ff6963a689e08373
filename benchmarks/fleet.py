"""Net-steps a second of many small networks at once (`learning.fleet`) over one after another, by batch size.

Seconds of this process's own time, medians of rounds in turn. Writes benchmarks/out/fleet.json.
"""

from collections.abc import Callable, Sequence
from statistics import median
from time import process_time

import torch

from benchmarks.results import bar_chart, write_json
from data.samples import Samples
from learning.candidate import Candidate
from learning.config import Scratch, TrainingConfig
from learning.learn import bootstrap, bootstrap_many
from learning.plan import LearningPlan
from models.config import MlpConfig

NETWORKS, ROWS, ROUNDS = 32, 1_500, 3


def parts_of(features: int = 8) -> list[Samples]:
    """A training set for each network, each a little longer than the one before."""
    generator = torch.Generator().manual_seed(0)
    found: list[Samples] = []
    for number in range(NETWORKS):
        rows = ROWS + 20 * number
        rows_NC = torch.randn(rows, features, generator=generator)
        targets_B = (rows_NC[:, 0] + rows_NC[:, 1] * rows_NC[:, 2] > 0).long()
        found.append(Samples(rows_NC, torch.arange(rows), 1, targets_B, torch.full((rows,), number + 1)))
    return found


def steps_a_second(learn: Callable[[], Sequence[Candidate]], batch_size: int) -> float:
    """Gradient steps of all networks over the seconds that they took."""
    started = process_time()
    samples = sum(candidate.cost.samples for candidate in learn())
    return samples / batch_size / (process_time() - started)


def main() -> None:
    parts, results = parts_of(), dict[str, dict[str, float]]()
    for dropout in (0.0, 0.1):
        for batch_size in (32, 128):
            training = TrainingConfig(epochs=3, batch_size=batch_size)
            model = MlpConfig(hidden_units=[128, 64], dropout=dropout)
            plan = LearningPlan(model, training, Scratch(), "classification", 2)

            def together(plan: LearningPlan = plan) -> list[Candidate]:
                return [candidate for _, candidate in bootstrap_many(plan, parts)]

            def in_turn(plan: LearningPlan = plan) -> list[Candidate]:
                return [bootstrap(plan, samples) for samples in parts]

            together()
            rounds = [
                (steps_a_second(together, batch_size), steps_a_second(in_turn, batch_size)) for _ in range(ROUNDS)
            ]
            fleet, ordinary = (median(speeds) for speeds in zip(*rounds, strict=True))
            ratio = median(a / b for a, b in rounds)
            name = f"batch {batch_size}, dropout {dropout:g}"
            results[name] = {"at once": fleet, "one after another": ordinary, "ratio": ratio}
            print(
                f"{name}: {fleet:,.0f} net-steps a second at once, {ordinary:,.0f} in turn: {ratio:.2f} times",
                flush=True,
            )
    write_json("fleet", results)
    bar_chart("fleet", "Net-steps a second", {name: dict(list(found.items())[:2]) for name, found in results.items()})


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
