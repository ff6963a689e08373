"""Whether tuning pays: an LSTM on two series, found parameters against the defaults, halving against full trials.

`python -m benchmarks.tuning DATA_FOLDER [--rows 4000 --epochs 18 --trials 30 --seeds 3]`: the oil temperature of a
transformer (ETTh1, windows of 24 hours) and the NOx of a gas turbine (windows of 8 hours). A fifth of the windows, in
blocks spread over time, is kept from the search altogether; found and default parameters are then trained afresh on
all the rest, three times with seeds that no search used (the seed alone moves the score by a tenth), and scored on that
fifth (mean RMSE). The search is over learning rate, batch size, weight decay, dropout, layers, units and dense layers,
by TPE, which is told none of the defaults; with `--sampler random` halving and full trials try the same points, so that
what halving saves is seen alone. Cost: samples × weights. Overhead: what a trial costs that measures nothing,
with the journal on disk. Writes benchmarks/out/tuning.json and tuning.png.
"""

import argparse
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean
from time import perf_counter
from typing import Any

import numpy as np
import polars as pl
import torch

from benchmarks.results import bar_chart, write_json
from data.samples import Samples
from learning.config import TrainingConfig
from learning.fitting import fit
from learning.normalisation import fit_normalisers
from learning.randomness import seeded
from learning.search.defaults import DEFAULT_SPACES
from learning.search.objectives import Objective
from learning.search.parsing import parse_space
from learning.search.results import Tuned
from learning.search.running import run_search
from learning.search.samplers import Sampler
from learning.search.space import Point
from learning.search.study import Measured, Search
from learning.search.trainings import predict
from learning.tuning import AutoMLTuner
from learning.validation import split_blocks
from models.config import LstmConfig, ModelConfig
from models.network import build_network
from monitoring.performance import score

UNSEEN_BLOCKS, UNSEEN_EVERY = 30, 5
NO_OP_TRIALS = 100
JUDGING_SEEDS = (101, 102, 103)
OUTSIDE_DEFAULTS = {**DEFAULT_SPACES["lstm"], "batch_size": [32, 64, 96, 256]}
"""Without the default batch size, so that the search does not begin with the defaults that it is held against."""


@dataclass(frozen=True)
class Series:
    """A file's columns as windows."""

    path: str
    features: tuple[str, ...]
    target: str
    length: int


SERIES = {
    "ETTh1": Series("ett/ETTh1.csv", ("HUFL", "HULL", "MUFL", "MULL", "LUFL", "LULL"), "OT", 24),
    "gas turbine": Series(
        "gas_turbine/gt_2011.csv", ("AT", "AP", "AH", "AFDP", "GTEP", "TIT", "TAT", "TEY", "CDP"), "NOX", 8
    ),
}


def windows(folder: Path, series: Series, rows: int) -> Samples:
    """A window that ends at each of the first rows."""
    frame = pl.read_csv(folder / series.path).head(rows)
    rows_NC = torch.from_numpy(frame.select(series.features).to_numpy().astype(np.float32)).contiguous()
    starts_B = torch.arange(frame.height - series.length + 1)
    targets_N = torch.from_numpy(frame[series.target].to_numpy().astype(np.float32))
    ones = torch.ones(len(starts_B), dtype=torch.int64)
    return Samples(rows_NC, starts_B, series.length, targets_N[series.length - 1 :].clone(), ones)


def judge(model: ModelConfig, training: TrainingConfig, known: Samples, unseen: Samples) -> float:
    """Mean RMSE of several trainings on what no search and no training has seen."""
    found: list[float] = []
    for seed in JUDGING_SEEDS:
        with seeded(seed, 0):
            network = build_network(model, known.rows_NC.shape[1], 1, "regression")
            fit_normalisers(network, known)
            fit(network, known, training)
        found.append(score("rmse", predict(network, unseen), unseen.targets_B.numpy()))
    return mean(found)


def cost_of(result: Tuned) -> dict[str, float]:
    """Samples, samples × weights (billions) and seconds over all points; what survivors went on from counts once."""
    furthest = {trial.key: trial for trial in sorted(result.trials, key=lambda t: t.epochs)}.values()
    details = [trial.details for trial in furthest if trial.values is not None]
    return {
        "samples": sum(d["samples"] for d in details),
        "cost": sum(d["samples"] * d["weights"] for d in details) / 1e9,
        "seconds": sum(d["seconds"] for d in details),
    }


def compare(
    known: Samples, unseen: Samples, seed: int, trials: int, epochs: int, sampler: Sampler = "tpe"
) -> dict[str, Any]:
    """Default parameters, full trials and halving with one seed."""
    training = TrainingConfig(epochs=epochs, seed=seed)
    found: dict[str, Any] = {"default": {"rmse": judge(LstmConfig(), training, known, unseen)}}
    with tempfile.TemporaryDirectory() as folder:
        for name, halving in (("full trials", False), ("halving", True)):
            place = Path(folder) / name / "lstm.journal"
            tuner = AutoMLTuner(
                trials=trials, sampler=sampler, halving=halving, training=training, storage=place, seed=seed
            )
            best = tuner.optimize_lstm_hyperparameters(known, OUTSIDE_DEFAULTS)
            assert tuner.result.baseline is None, "the search is not to begin with the defaults"
            rmse = judge(*tuner.configs(), known, unseen)
            held_out = (tuner.result.best.values or {})["score"]
            found[name] = {"rmse": rmse, "held_out": held_out, "best": best, **cost_of(tuner.result)}
    return found


class _Nothing:
    """Measures a made-up value at once."""

    def __call__(self, point: Point, epochs: int, until: float | None) -> Measured:
        return Measured({"score": float(point["dropout"])})


def overhead_ms(trials: int = NO_OP_TRIALS) -> float:
    """Milliseconds that the study adds to each trial."""
    with tempfile.TemporaryDirectory() as folder:
        objectives = (Objective("score", lower_is_better=True),)
        space, place = parse_space(DEFAULT_SPACES["lstm"]), Path(folder) / "studies.journal"
        run_search(Search("warm", space, objectives, 1, place, Path(folder) / "warm", 2), _Nothing())
        began = perf_counter()
        run_search(Search("timed", space, objectives, 1, place, Path(folder) / "timed", trials), _Nothing())
        return 1000 * (perf_counter() - began) / trials


def summarise(runs: Sequence[dict[str, Any]]) -> dict[str, float]:
    """Means over the seeds, of RMSE over the default's and of cost over full trials'."""
    return {
        "full trials over default": mean(r["full trials"]["rmse"] / r["default"]["rmse"] for r in runs),
        "halving over default": mean(r["halving"]["rmse"] / r["default"]["rmse"] for r in runs),
        "halving over full trials": mean(r["halving"]["rmse"] / r["full trials"]["rmse"] for r in runs),
        "samples of halving": mean(r["halving"]["samples"] / r["full trials"]["samples"] for r in runs),
        "cost of halving": mean(r["halving"]["cost"] / r["full trials"]["cost"] for r in runs),
        "seconds of halving": mean(r["halving"]["seconds"] / r["full trials"]["seconds"] for r in runs),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rows", type=int, default=4000)
    parser.add_argument("--epochs", type=int, default=18)
    parser.add_argument("--trials", type=int, default=30)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--sampler", choices=["tpe", "random"], default="tpe")
    asked = parser.parse_args()
    results: dict[str, Any] = {"asked": {k: v for k, v in vars(asked).items() if k != "folder"}}
    results["overhead_ms"] = overhead_ms()
    print(f"overhead: {results['overhead_ms']:.1f} ms a trial")
    panels: dict[str, dict[str, float]] = {}
    for name, series in SERIES.items():
        known, unseen = split_blocks(windows(asked.folder, series, asked.rows), UNSEEN_BLOCKS, UNSEEN_EVERY, 2)
        print(f"{name}: {len(known):,} windows known, {len(unseen):,} kept from the search")
        runs: list[dict[str, Any]] = []
        for seed in range(asked.seeds):
            runs.append(compare(known, unseen, seed, asked.trials, asked.epochs, asked.sampler))
            print(f"  seed {seed}: " + ", ".join(f"{way} {found['rmse']:.3f}" for way, found in runs[-1].items()))
        results[name] = {"runs": runs, "mean": summarise(runs)}
        print("  " + ", ".join(f"{key} {value:.3f}" for key, value in results[name]["mean"].items()))
        panels[f"{name}: RMSE"] = {
            way: mean(r[way]["rmse"] for r in runs) for way in ("halving", "full trials", "default")
        }
        panels[f"{name}: cost"] = {way: mean(r[way]["cost"] for r in runs) for way in ("halving", "full trials")}
        write_json("tuning", results)
    bar_chart("tuning", f"An LSTM after {asked.trials} trials, on windows that the search never saw", panels)


if __name__ == "__main__":
    main()
