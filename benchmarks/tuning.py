"""Whether tuning pays: an LSTM on two series, found parameters against the defaults, halving against full trials.

`python -m benchmarks.tuning DATA_FOLDER [--series bike air] [--seeds 0 1 2] [--first 3000] [--rows 3000] [--epochs 18]
[--trials 30]`: hired bikes an hour, NO2 from gas sensors in a street (air) and benzene there, the oil temperature of a
transformer (ETTh1), the NOx of a gas turbine; windows of 12 hours (gas turbine: 8). A fifth of the windows, in blocks
spread over time as the gate's rows are, is kept from the search altogether, another fifth for each seed. Found and
default parameters are then trained afresh on all the rest, three times with seeds that no search used, and scored on
that fifth (mean RMSE). The search is `lehr tune`'s own: the default space, the defaults as its first point, finals on
other splits before the pick. With `--sampler random` halving and full trials try the same points, so that what halving
saves is seen alone. Cost: samples that went through a gradient step. Overhead: what a trial costs that measures
nothing, with the journal on disk.

What was chosen was chosen with seeds from 10 on by the best of seven to nine random points: of the first 3,000 rows
bike and air, where it is a tenth better than the defaults, and benzene, where it has a third of their error, not ETTh1,
where points differ by less than their luck. Of the gas turbine's first 7,000 rows it was 3 and 4 % better on two
splits, of the street's first 9,000 (NO2) 0 and 9 %. Writes benchmarks/out/tuning.json and tuning.png.
"""

import argparse
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean
from time import perf_counter
from typing import Any

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
from learning.search.row_material import predict
from learning.search.running import run_search
from learning.search.samplers import Sampler
from learning.search.space import Point
from learning.search.study import Measured, Search
from learning.tuning import AutoMLTuner
from learning.validation import split_blocks
from models.config import LstmConfig, ModelConfig
from models.network import build_network
from monitoring.performance import score

UNSEEN_BLOCKS, UNSEEN_EVERY = 30, 5
NO_OP_TRIALS = 100
JUDGING_SEEDS = (101, 102, 103)


@dataclass(frozen=True)
class Series:
    """A file's columns as windows."""

    path: str
    features: tuple[str, ...]
    target: str
    length: int
    missing: float | None = None


AIR = ("PT08.S1(CO)", "PT08.S2(NMHC)", "PT08.S3(NOx)", "PT08.S4(NO2)", "PT08.S5(O3)", "T", "RH", "AH")
BIKE = ("hr", "weekday", "workingday", "holiday", "mnth", "weathersit", "temp", "atemp", "hum", "windspeed")
SERIES = {
    "ETTh1": Series("ett/ETTh1.csv", ("HUFL", "HULL", "MUFL", "MULL", "LUFL", "LULL"), "OT", 12),
    "bike": Series("bike_hourly/hour.csv", BIKE, "cnt", 12),
    "benzene": Series("air_quality/air_quality.csv", AIR, "C6H6(GT)", 12, missing=-200.0),
    "air": Series("air_quality/air_quality.csv", AIR, "NO2(GT)", 12, missing=-200.0),
    "gas turbine": Series(
        "gas_turbine/gt_2011.csv", ("AT", "AP", "AH", "AFDP", "GTEP", "TIT", "TAT", "TEY", "CDP"), "NOX", 8
    ),
}


def windows(folder: Path, series: Series, first: int, rows: int) -> Samples:
    """A window that ends at each of some rows whose target is known."""
    columns = pl.col(*series.features, series.target).cast(pl.Float32)
    frame = pl.read_csv(folder / series.path).slice(first, rows).select(columns.replace(series.missing, float("nan")))
    rows_NC = torch.from_numpy(frame.select(series.features).to_numpy()).contiguous()
    targets_B = torch.from_numpy(frame[series.target].to_numpy().copy())[series.length - 1 :]
    starts_B = targets_B.isfinite().nonzero().flatten()
    ones = torch.ones(len(starts_B), dtype=torch.int64)
    return Samples(rows_NC, starts_B, series.length, targets_B[starts_B], ones)


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
    """Samples and seconds of the search, where what survivors went on from counts once, and of the finals."""
    furthest = {trial.key: trial for trial in sorted(result.trials, key=lambda t: t.epochs)}.values()
    return {
        f"{what}{part}": sum(trial.details[what] for trial in trials if trial.values is not None)
        for part, trials in (("", furthest), (" of finals", result.finals))
        for what in ("samples", "seconds")
    }


def compare(
    known: Samples, unseen: Samples, seed: int, trials: int, epochs: int, sampler: Sampler = "tpe"
) -> dict[str, Any]:
    """The defaults, and what full trials and halving found with one seed."""
    training = TrainingConfig(epochs=epochs, seed=seed)
    found: dict[str, Any] = {"default": {"rmse": judge(LstmConfig(), training, known, unseen)}}
    with tempfile.TemporaryDirectory() as folder:
        for name, halving in (("full trials", False), ("halving", True)):
            place = Path(folder) / name / "lstm.journal"
            tuner = AutoMLTuner(
                trials=trials, sampler=sampler, halving=halving, training=training, storage=place, seed=seed
            )
            best = tuner.optimize_lstm_hyperparameters(known)
            held_out = (tuner.result.best.values or {})["score"]
            rmse = judge(*tuner.configs(), known, unseen)
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
    """Means over the seeds, of RMSE over the defaults' and of cost over full trials'."""

    def ratio(part: str, way: str, other: str) -> float:
        return mean(r[way][part] / r[other][part] for r in runs)

    def whole(way: dict[str, float]) -> float:
        return way["samples"] + way["samples of finals"]

    return {
        "full trials over default": ratio("rmse", "full trials", "default"),
        "halving over default": ratio("rmse", "halving", "default"),
        "halving over full trials": ratio("rmse", "halving", "full trials"),
        "samples of halving": ratio("samples", "halving", "full trials"),
        "seconds of halving": ratio("seconds", "halving", "full trials"),
        "samples of halving, finals included": mean(whole(r["halving"]) / whole(r["full trials"]) for r in runs),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--first", type=int, default=3000, help="row")
    parser.add_argument("--rows", type=int, default=3000)
    parser.add_argument("--epochs", type=int, default=18)
    parser.add_argument("--trials", type=int, default=30)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--sampler", choices=["tpe", "random"], default="tpe")
    parser.add_argument("--series", nargs="+", choices=list(SERIES), default=["bike", "air"])
    asked = parser.parse_args()
    torch.set_num_threads(1)
    results: dict[str, Any] = {"asked": {k: v for k, v in vars(asked).items() if k != "folder"}}
    results["overhead_ms"] = overhead_ms()
    print(f"overhead: {results['overhead_ms']:.1f} ms a trial")
    panels: dict[str, dict[str, float]] = {}
    for name in asked.series:
        samples, runs = windows(asked.folder, SERIES[name], asked.first, asked.rows), list[dict[str, Any]]()
        for seed in asked.seeds:
            known, unseen = split_blocks(samples, UNSEEN_BLOCKS, UNSEEN_EVERY, seed % UNSEEN_EVERY)
            runs.append(compare(known, unseen, seed, asked.trials, asked.epochs, asked.sampler))
            said = ", ".join(f"{way} {found['rmse']:.3f}" for way, found in runs[-1].items())
            print(f"{name}, seed {seed}, {len(known):,} windows known, {len(unseen):,} unseen: {said}", flush=True)
            results[name] = {"runs": runs, "mean": summarise(runs)}
            write_json("tuning", results)
        print("  " + ", ".join(f"{key} {value:.3f}" for key, value in results[name]["mean"].items()))
        ways = ("halving", "full trials")
        panels[f"{name}: RMSE"] = {way: mean(r[way]["rmse"] for r in runs) for way in (*ways, "default")}
        panels[f"{name}: samples of the search, thousands"] = {
            way: mean(r[way]["samples"] for r in runs) / 1000 for way in ways
        }
    bar_chart("tuning", f"An LSTM after {asked.trials} trials, on windows that the search never saw", panels)


if __name__ == "__main__":
    main()
