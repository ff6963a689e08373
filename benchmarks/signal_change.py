"""A change that lasts in a hall's signals: after how many batches does the pure loop follow it?

`python -m benchmarks.signal_change [--halls 10] [--first-seed 40000]`: from the champion's next batch on every machine
has worn to another shape, or somebody annotates one keypoint two samples later than before. An update is asked of each
batch, six at most. Followed is the change by the first version that goes live; what it gains is measured on 1,200
signals as they are since. Writes benchmarks/out/signal_change.json.
"""

import argparse
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from benchmarks.results import write_json
from benchmarks.signal_loop import LEARNED, Scene, open_scene, truth_of
from data.signals import Signals

MOST_BATCHES = 6
LATER_BY = 2.0
CHANGES = ("worn by 1", "worn by 2", "annotated later")


@dataclass(frozen=True)
class Followed:
    """after: so many changed batches; None: not yet. waited: batches that only corroboration refused.

    gained: recall in points, and the share of the keypoint error that is gone, by the first version that went live.
    """

    change: str
    after: int | None
    waited: int
    gained: dict[str, float]


def follow(scene: Scene, change: str) -> Followed:
    """One change in one hall."""
    moved = float(change.removeprefix("worn by ")) if change.startswith("worn") else 0.0
    plan = replace(scene.plan, moved=moved)
    scene, waited = replace(scene, plan=plan, truth=_changed(truth_of(plan, scene.seed), change)), 0
    for after in range(1, MOST_BATCHES + 1):
        answer = scene.take(_changed(scene.delivery(LEARNED + after), change))
        if answer.promoted is not None:
            lost = scene.lost(answer.promoted)
            return Followed(change, after, waited, {metric: -value for metric, value in lost.items()})
        waited += answer.stopped_by == "corroboration"
        scene = scene if answer.after is None else answer.after
    return Followed(change, None, waited, {})


def _changed(signals: Signals, change: str) -> Signals:
    if change.startswith("worn"):
        return signals
    later = np.minimum(signals.keypoints["peak"] + LATER_BY, signals.lengths_N - 1).astype(np.float32)
    return replace(signals, keypoints={**signals.keypoints, "peak": later})


def summary(found: Sequence[Followed]) -> dict[str, Any]:
    """How many changes were followed after how many batches, and what the first versions gained on average."""
    gained = [f.gained for f in found if f.after is not None]
    return {
        "halls": len(found),
        "followed_after": dict(sorted(Counter(str(f.after) for f in found).items())),
        "waited": sum(f.waited > 0 for f in found),
        "mean_gain": {metric: float(np.mean([g[metric] for g in gained])) for metric in (gained[0] if gained else {})},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--halls", type=int, default=10)
    parser.add_argument("--first-seed", type=int, default=40_000)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    scenes = [open_scene(seed) for seed in range(asked.first_seed, asked.first_seed + asked.halls)]
    told = {change: summary([follow(scene, change) for scene in scenes]) for change in CHANGES}
    for change, row in told.items():
        print(f"{change}: {row}")
    write_json("signal_change", told)


if __name__ == "__main__":
    main()
