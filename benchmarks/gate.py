"""Whether equals are ever told apart: the wager that promotes under `proof` and takes back under `probation`.

`python -m benchmarks.gate [--streams 10000]`: streams of 100 batches of 200 rows, with a look after every batch. First
models that are equal: how often one is ever called better, which is a false promotion under proof and a false rollback
under probation. Then a candidate that is better or worse by so many points: how often and when proof promotes it; how
often probation lets it in (held-out rows of five batches, as the gate compares them) and takes it back; and the points
lost, summed over the 100 batches, against always having the better of the two. Writes benchmarks/out/gate.json and
gate.png.
"""

import argparse
import math
from collections.abc import Callable
from statistics import median

import numpy as np
from numpy.typing import NDArray

from benchmarks.results import bar_chart, write_json
from monitoring.wager import Wager

BATCHES, ROWS, DISAGREEMENT = 100, 200, 0.1
HOLDOUT_ROWS, RESAMPLES, MARGIN, CONFIDENCE = 200, 400, 0.05, 0.9
COMPARED_STREAMS = 1000
"""Of candidates that are better or worse: their shares are far from the 5 % that needs more."""

Floats = NDArray[np.float64]
Rng = np.random.Generator


def errors(rng: Rng, points: float = 0.0) -> Floats:
    """Rows on which one of two classifiers is right and the other wrong: a tenth of them."""
    chances = [DISAGREEMENT / 2 - points / 2, 1 - DISAGREEMENT, DISAGREEMENT / 2 + points / 2]
    return rng.choice([-1.0, 0.0, 1.0], size=(BATCHES, ROWS), p=chances)


def neighbours(rng: Rng) -> Floats:
    """Differences that follow one another: AR(1) of .95 from row to row, also across batches."""
    noise, values = rng.standard_normal(BATCHES * ROWS), np.empty(BATCHES * ROWS)
    last = 0.0
    for i, value in enumerate(noise):
        last = 0.95 * last + value
        values[i] = last
    return values.reshape(BATCHES, ROWS)


def heavy_tails(rng: Rng) -> Floats:
    """Differences of squared errors with Student's t of 3 degrees of freedom."""
    return rng.standard_t(3, (BATCHES, ROWS)) ** 2 - rng.standard_t(3, (BATCHES, ROWS)) ** 2


def lasting_luck(rng: Rng) -> Floats:
    """Luck of a tenth of a row's deviation that halves from batch to batch."""
    luck = np.zeros(BATCHES)
    for t in range(1, BATCHES):
        luck[t] = 0.5 * luck[t - 1] + 0.0866 * rng.standard_normal()
    return rng.standard_normal((BATCHES, ROWS)) + luck[:, None]


EQUALS: dict[str, Callable[[Rng], Floats]] = {
    "errors of classes": errors,
    "rows that follow one another": neighbours,
    "heavy tails": heavy_tails,
    "luck that lasts": lasting_luck,
}


def catastrophes(share: float) -> Callable[[Rng], Floats]:
    """A challenger that alone gets this share of rows wrong and is a little better on others: no better on average."""

    def make(rng: Rng) -> Floats:
        rare = rng.random((BATCHES, ROWS)) < share
        return np.where(rare, -1.0, share / (1 - share))

    return make


CATASTROPHES: dict[str, Callable[[Rng], Floats]] = {
    f"a catastrophe in {rows:,} rows": catastrophes(1 / rows) for rows in (100, 300, 1_000)
}


def first_proof(gains: Floats) -> int | None:
    """The batch, from 1, after which the challenger is proven to be better; the worst row costs 1."""
    wager = Wager()
    for number, batch in enumerate(gains, start=1):
        wager = wager.observe(batch, worst=1.0)
        if wager.proven:
            return number
    return None


def let_in(rng: Rng, points: float) -> bool:
    """Whether the gate's checks hold on hold-outs of five batches: no loss, and none beyond the margin is likely."""
    held_out = errors(rng, points)[:5, :HOLDOUT_ROWS]
    blocks = held_out.reshape(-1, HOLDOUT_ROWS // 10).mean(1)
    drawn = blocks[rng.integers(0, len(blocks), (RESAMPLES, len(blocks)))].mean(1)
    return bool(held_out.mean() >= 0 and np.quantile(drawn, 1 - CONFIDENCE) >= -MARGIN)


def appetites(rng: Rng, points: float, streams: int) -> dict[str, float]:
    """What each appetite does with a candidate that is better by so many points, and the points it loses."""
    promoted, entered, taken_back = list[int](), 0, list[int]()
    lost_by_proof, lost_by_probation = 0.0, 0.0
    for _ in range(streams):
        gains = errors(rng, points)
        number = first_proof(gains)
        promoted += [] if number is None else [number]
        lost_by_proof += _lost(points, BATCHES if number is None else number, BATCHES)
        if not let_in(rng, points):
            lost_by_probation += _lost(points, BATCHES, BATCHES)
            continue
        entered += 1
        back = first_proof(-gains)
        taken_back += [] if back is None else [back]
        lost_by_probation += _lost(-points, BATCHES if back is None else back, BATCHES)
    found = {
        "proof: promoted": len(promoted) / streams,
        "proof: median batches": median(promoted) if promoted else math.nan,
        "proof: points lost": 100 * lost_by_proof / streams,
        "probation: let in": entered / streams,
        "probation: taken back": len(taken_back) / max(entered, 1),
        "probation: median batches": median(taken_back) if taken_back else math.nan,
        "probation: points lost": 100 * lost_by_probation / streams,
    }
    return {key: value for key, value in found.items() if not math.isnan(value)}


def _lost(points: float, waited: int, batches: int) -> float:
    """With the incumbent for so many batches and then with the challenger, against the better of the two."""
    return waited * points if points > 0 else (batches - waited) * -points


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--streams", type=int, default=10_000)
    streams = parser.parse_args().streams
    rng = np.random.default_rng(0)
    equals: dict[str, float] = {}
    for name, make in (EQUALS | CATASTROPHES).items():
        equals[name] = sum(first_proof(make(rng)) is not None for _ in range(streams)) / streams
        print(f"equal models, {name:<30} ever told apart: {equals[name]:.2%} of {streams:,} streams")
    candidates: dict[str, dict[str, float]] = {}
    for points in (0.05, 0.02, 0.01, -0.01, -0.02, -0.05):
        candidates[f"{100 * points:+g} points"] = found = appetites(rng, points, min(streams, COMPARED_STREAMS))
        print(f"{100 * points:+g} points: " + "   ".join(f"{key} {value:.3g}" for key, value in found.items()))
    write_json("gate", {"equals": equals, "candidates": candidates})
    losses = {k: {n: v for n, v in f.items() if n.endswith("lost")} for k, f in candidates.items()}
    bar_chart("gate", "Equals told apart, and points lost over 100 batches", {"equals": equals, **losses})


if __name__ == "__main__":
    main()
