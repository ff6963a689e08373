"""Planted faults of twelve kinds through the pure loop: is a version ever promoted that is worse than the champion?

`python -m benchmarks.fault_injection [--faults 10000] [--lines 40] [--first-seed 20000]`: ten kinds of bad deliveries
(an update is learned from each that is not stopped before) and two of bad candidates, each with a sensor, a strength
and a stretch of rows drawn by the fault's own seed, on glass lines whose champion has learned from four batches. Where
a delivery promotes nothing, the next sound one is asked the same, with all that the faulty one left behind. A
promotion is bad where the promoted network has lost more accuracy than the gate's margin (5 points) against the
champion on 4,000 later rows as they really were. A run that was killed goes on with the lines it was at;
`--processes 2` takes two lines at a time. Writes benchmarks/out/fault_injection.json and .png.
"""

from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl
import torch

from benchmarks.fault_run import FaultRun, Rng, damage, drawn, follow_up
from benchmarks.fault_summary import Planted
from benchmarks.pure_loop import LATER, LEARNED, ROWS, SCHEMA, Answer, Scene, mark, open_scene
from data.scenario import LINE_SENSORS, LINE_TEMPERATURES, Scenario
from data.windows import make_samples
from deployments.champion_checks import REGRESSION_POINTS
from learning.candidate import Candidate
from learning.config import TrainingConfig
from learning.refresh import refresh
from models.network import Network

MARGINS = {"accuracy": REGRESSION_POINTS}


def _sensor(rng: Rng) -> str:
    return drawn(rng, *LINE_SENSORS)


def _signed(rng: Rng, *sizes: float) -> float:
    return float(drawn(rng, *sizes) * rng.choice([-1.0, 1.0]))


def _swap(rng: Rng) -> dict[str, Any]:
    sensor, other = rng.permutation(list(LINE_SENSORS))[:2].tolist()
    return {"kind": "swapped", "sensor": sensor, "other": other}


EVENTS: Mapping[str, Callable[[Rng], dict[str, Any]]] = {
    "stuck": lambda rng: {"kind": "stuck", "sensor": _sensor(rng)},
    "noisy": lambda rng: {"kind": "noisy", "sensor": _sensor(rng), "strength": drawn(rng, 0.5, 1.0, 2.0, 4.0, 8.0)},
    "offset": lambda rng: {"kind": "offset", "sensor": _sensor(rng), "strength": _signed(rng, 0.5, 1.0, 2.0, 4.0, 8.0)},
    "scaled": lambda rng: {
        "kind": "scaled", "sensor": _sensor(rng), "strength": drawn(rng, 0.1, 0.9, 0.97, 1.03, 1.1, 10.0),
    },
    "swapped": _swap,
    "missing": lambda rng: {
        "kind": "missing", "sensor": drawn(rng, None, _sensor(rng)), "strength": drawn(rng, 0.1, 0.3, 0.6, 1.0),
    },
    "wrong units": lambda rng: {"kind": "fahrenheit", "sensor": drawn(rng, None, *LINE_TEMPERATURES)},
    "poisoned labels": lambda rng: {
        "kind": "poisoned_labels", "strength": drawn(rng, 0.1, 0.2, 0.4, 0.7, 1.0),
        "to": drawn(rng, None, "ok", "crack", "bubble", "chip"),
    },
}  # fmt: skip
"""What happens on the line; the rest is done to a sound delivery, or to a candidate of one."""


def _repeat(delivery: pl.DataFrame, rng: Rng) -> tuple[pl.DataFrame, str]:
    """A stretch of rows again and again in place of others, or rows that come out of order."""
    share, first = float(drawn(rng, 0.1, 0.3, 0.6)), int(rng.integers(ROWS // 2))
    places = np.arange(ROWS)
    if rng.random() < 0.5:
        length = int(drawn(rng, 1, 10, 50))
        hit = slice(first, min(ROWS, first + int(share * ROWS)))
        places[hit] = first + np.arange(hit.stop - hit.start) % length
        return delivery[places], f"{length} rows repeated over {share:.0%}"
    late = rng.permutation(ROWS)[: int(share * ROWS)]
    return delivery[np.concatenate([np.setdiff1d(places, late), late])], f"{share:.0%} of the rows late"


def _shift(delivery: pl.DataFrame, rng: Rng) -> tuple[pl.DataFrame, str]:
    """Labels that belong to rows before or after."""
    rows = int(drawn(rng, -50, -10, -3, -1, 1, 3, 10, 50))
    moved = delivery["defect"].gather((np.arange(ROWS) - rows) % ROWS)
    return delivery.with_columns(moved), f"labels {rows:+d} rows"


TAMPERED = {"repeated or late rows": _repeat, "shifted labels": _shift}


def _corrupt(scene: Scene, delivery: pl.DataFrame, rng: Rng) -> tuple[Candidate, str]:
    """An honest candidate whose weights were hit on their way."""
    candidate = scene.learn(mark(delivery, LEARNED + 1))
    how = str(drawn(rng, "bits", "noise", "zeros", "classes", "scale", "not a number"))
    network = deepcopy(candidate.network)
    with torch.no_grad():
        _hit(network, how, rng)
    return replace(candidate, network=network), how


def _hit(network: Network, how: str, rng: Rng) -> None:
    if how == "classes":
        head = network.head
        head.weight.copy_(head.weight.roll(1, 0))
        head.bias.copy_(head.bias.roll(1, 0))
    else:
        damage([weight for weight in network.parameters() if weight.dim() == 2], how, rng)


def _overfit(scene: Scene, delivery: pl.DataFrame, rng: Rng) -> tuple[Candidate, str]:
    """An honest candidate that went on learning a few rows of the new batch by heart."""
    marked = mark(delivery, LEARNED + 1)
    candidate = scene.learn(marked)
    rows, rounds = int(drawn(rng, 5, 20, 60)), int(drawn(rng, 2, 5, 10))
    train = make_samples(marked.filter(pl.col("lehr_split") == "train"), SCHEMA, 1, scene.classes)
    few = train.take(torch.from_numpy(rng.permutation(len(train))[:rows].copy()))
    network = deepcopy(candidate.network)
    shares_MK = torch.full((len(few), network.heads), 1 / len(few), dtype=torch.float64)
    torch.manual_seed(int(rng.integers(2**31)))
    for _ in range(rounds):
        refresh(network, few, shares_MK, TrainingConfig(weight_decay=0.0, learning_rate=1e-2))
    return replace(candidate, network=network), f"{rows} rows, {rounds} rounds"


SPOILT = {"corrupted weights": _corrupt, "over-fitted": _overfit}
KINDS = (*EVENTS, *TAMPERED, *SPOILT)


def inject(scene: Scene, kind: str, rng: Rng) -> Planted:
    """One fault of a kind on the scene's line, in one of the batches that the champion has not seen."""
    number = LEARNED + 1 + int(rng.integers(LATER))
    if kind in EVENTS:
        event = EVENTS[kind](rng) | _stretch(number, rng)
        happening = Scenario.model_validate({**scene.scenario.model_dump(), "events": [event]})
        answer, what = scene.take(scene.delivery(number, happening)), _in_words(event)
    elif kind in TAMPERED:
        delivery, what = TAMPERED[kind](scene.delivery(number), rng)
        answer = scene.take(delivery)
    else:
        delivery = scene.delivery(number)
        candidate, what = SPOILT[kind](scene, delivery, rng)
        verdict = scene.judge(candidate, mark(delivery, LEARNED + 1))
        failed = ", ".join(check.name for check in verdict.checks if not check.passed)
        answer = Answer(candidate, "promoted") if verdict.passed else Answer(None, failed)
    return follow_up(scene, kind, what, answer, number, MARGINS)


def _stretch(number: int, rng: Rng) -> dict[str, int]:
    """The whole batch, or its last part."""
    sound = int(drawn(rng, 0, 0.25, 0.5) * ROWS)
    return {"start": (number - 1) * ROWS + sound, "duration": ROWS - sound}


def _in_words(event: Mapping[str, Any]) -> str:
    told = {key: value for key, value in event.items() if key not in ("kind", "start") and value is not None}
    return ", ".join(f"{key} {value}" for key, value in told.items())


FAULTS = FaultRun("fault_injection", KINDS, MARGINS, open_scene, inject)

if __name__ == "__main__":
    FAULTS.main(__doc__, faults=10_000, lines=40, first_seed=20_000)
