"""Trigger policies on public streams with real drift: the default's cost over the oracle's, and its trainings.

`python -m benchmarks.backtest DATA [--home FOLDER]`. The default trigger was chosen on bike, ETTh1, air quality and
keystroke and on the first halves of the streams here; what counts are the second halves. A training's price goes from
a tenth of a point of score on one batch to twenty points; the default is told it. Versions are learned from scratch (a
look-up is exact) and in a chain by the pipeline's own strategy (a look-up is an approximation). *Same score*: not
worse than Evidently's by more than half a point. Writes benchmarks/out/backtest.json; what was learned stays in
the folder and is found there again.
"""

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

import numpy as np
from rich.console import Console

from benchmarks.results import bar_chart, write_json
from data.sources import iter_arrivals
from deployments.backtesting import make_past, sweep
from deployments.history import History, read_history
from deployments.past_versions import Learning, Progress
from deployments.pipeline import DEFAULT_TRIGGER, PipelineConfig
from monitoring.backtest import Prices, oracle, replay_matrices, replay_plan
from monitoring.past import Past, on_price

PIPELINES = Path(__file__).parents[1] / "deployments" / "pipelines"
STREAMS: dict[str, tuple[str, int | None]] = {
    "gas-sensor": ("gas_sensor", None),
    "electricity": ("electricity", 1000),
    "weather": ("weather", 500),
    "gas-turbine-nox": ("gas_turbine", 600),
}
SAME_SCORE = 0.5
POINTS = (0.1, 0.2, 0.5, 1.0, 1.5, 2.0, 3.0, 5.0, 7.0, 10.0, 20.0)
SHOWN = ("priced", "default", "always", "every 2", "drift", "performance", "ADWIN", "Evidently")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--home", type=Path, default=Path(".lehr-backtest"))
    parser.add_argument("--processes", type=int, default=1)
    asked = parser.parse_args()
    results: dict[str, Any] = {}
    for name, (folder, rows) in STREAMS.items():
        history = history_of(name, asked.data / folder, rows)
        for learning in get_args(Learning):
            past = make_past(history, learning, asked.home / name / "backtest", _tell(name), asked.processes)
            half = range((len(history) + 1) // 2 - 1, len(history))
            for part, of in ((past, "all"), (past.part(half), "second half")):
                results[f"{name}, {learning}, {of}"] = found = figures(part)
                _say(f"{name}, {learning}, {of}", found)
    write_json("backtest", results)
    priced = {name: found["over_oracle"]["priced"] for name, found in results.items()}
    over = {name: {f"{p:g}": 100 * value for p, value in by_price.items()} for name, by_price in priced.items()}
    bar_chart("backtest", "The default's cost over the oracle's in per cent, by the price of a training", over)


def history_of(name: str, source: Path, rows: int | None) -> History:
    """A stream as its pipeline reads it."""
    pipeline = PIPELINES / f"{name}.yaml"
    return read_history(pipeline, PipelineConfig.load(pipeline), iter_arrivals([source], rows))


def figures(past: Past) -> dict[str, Any]:
    """Each policy's cost over the oracle's by price, and how few trainings reach Evidently's score."""
    swept = [at for at in sweep(past, DEFAULT_TRIGGER, Prices()) if at["price_training"] > 0]
    over = {name: {at["price_training"]: _over(at["policies"], name) for at in swept} for name in SHOWN}
    (one,) = (at["policies"] for at in swept if at["price_training"] == 1)
    return {"over_oracle": over, "at_price_1": one, "same_score": same_score(past)}


def _over(policies: Mapping[str, Any], name: str) -> float:
    return policies[name]["cost"] / policies["oracle"]["cost"] - 1


def same_score(past: Past) -> dict[str, Any]:
    """Evidently's trainings, and the fewest with which the price trigger loses at most half a point more a batch.

    hindsight: the fewest of any choice at all, as the oracle finds them at ever higher prices of a training.
    """
    evidently = replay_matrices(past.scores, past.by_evidently()[None], Prices())
    batches = len(past.rows_T) - past.scores.first - 1
    enough = float(evidently.points_P[0]) + SAME_SCORE * batches
    found: dict[str, Any] = {"evidently": int(evidently.trainings_P[0]), "fewest": None, "points": None}
    for points in POINTS:
        own = replay_matrices(past.scores, past.by_trigger(on_price(points))[None], Prices())
        if own.points_P[0] <= enough and (found["fewest"] is None or own.trainings_P[0] < found["fewest"]):
            found |= {"fewest": int(own.trainings_P[0]), "points": points}
    prices = [Prices(training=float(price)) for price in np.geomspace(0.01, 100, 200)]
    plans = [replay_plan(past.scores, oracle(past.scores, at), at) for at in prices]
    within = [int(plan.trainings_P[0]) for plan in plans if plan.points_P[0] <= enough]
    return {**found, "hindsight": min(within, default=None)}


def _say(name: str, found: dict[str, Any]) -> None:
    print(name)
    for policy, over in found["over_oracle"].items():
        shown = " ".join(f"{100 * value:+5.1f}" for value in over.values())
        at = found["at_price_1"][policy]
        print(f"  {policy:<12} over the oracle, %: {shown}   at price 1: {at['trainings']:>2}, score {at['score']:.4g}")
    print(f"  fewest trainings at Evidently's score: {found['same_score']}", flush=True)


def _tell(name: str) -> Progress:
    console = Console(stderr=True)

    def tell(what: str, done: int, total: int) -> None:
        if console.is_terminal:
            console.print(f"{name}: {what} {done}/{total}", end="\r")

    return tell


if __name__ == "__main__":
    main()
