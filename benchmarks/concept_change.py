"""A change of the target's meaning that lasts: after how many batches does the pure loop follow it?

`python -m benchmarks.concept_change [--lines 20] [--first-seed 40000]`: on each glass line one defect comes more or
less readily from the champion's next batch on, by so many of its deviations. An update is asked of each batch, eight at
most. Followed is the change by the first version that goes live; what it gains is measured on 4,000 later rows. That a
batch with wrong labels is not followed, `benchmarks.fault_injection` shows. Writes benchmarks/out/concept_change.json.
"""

import argparse
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from benchmarks.pure_loop import LEARNED, ROWS, Scene, open_scene, truth_of
from benchmarks.results import write_json
from data.scenario import Scenario

STRENGTHS = (-3.0, 3.0, 6.0)
MOST_BATCHES = 8


@dataclass(frozen=True)
class Followed:
    """after: so many batches of the new meaning; None: not yet. waited: batches that only corroboration refused."""

    strength: float
    defect: str
    after: int | None
    waited: int
    gained: float


def follow(scene: Scene, strength: float) -> Followed:
    """One change on one line."""
    defect = str(np.random.default_rng(scene.scenario.seed).choice(scene.scenario.defects))
    event = {"kind": "concept", "defect": defect, "strength": strength, "start": LEARNED * ROWS}
    changed = Scenario.model_validate({**scene.scenario.model_dump(), "events": [event]})
    scene, waited = replace(scene, truth=truth_of(changed, scene.classes)), 0
    for after in range(1, MOST_BATCHES + 1):
        answer = scene.take(scene.delivery(LEARNED + after, changed))
        if answer.promoted is not None:
            return Followed(strength, defect, after, waited, -scene.lost(answer.promoted)["accuracy"])
        waited += answer.stopped_by == "corroboration"
        scene = scene if answer.after is None else answer.after
    return Followed(strength, defect, None, waited, 0.0)


def summary(found: Sequence[Followed]) -> dict[str, Any]:
    """How many changes were followed after how many batches, and what the first versions gained."""
    after = Counter(str(f.after) for f in found)
    gained = [f.gained for f in found if f.after is not None]
    return {
        "lines": len(found),
        "followed_after": dict(sorted(after.items())),
        "waited": sum(f.waited > 0 for f in found),
        "mean_gain": float(np.mean(gained)) if gained else None,
        "lost": sum(gain < 0 for gain in gained),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lines", type=int, default=20)
    parser.add_argument("--first-seed", type=int, default=40_000)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    found: list[Followed] = []
    for seed in range(asked.first_seed, asked.first_seed + asked.lines):
        scene = open_scene(seed)
        found += [follow(scene, strength) for strength in STRENGTHS]
    told = {f"{strength:+g}": summary([f for f in found if f.strength == strength]) for strength in STRENGTHS}
    for strength, row in told.items():
        print(f"{strength}: {row}")
    write_json("concept_change", told)


if __name__ == "__main__":
    main()
