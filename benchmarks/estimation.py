"""How far estimated scores lie from the realised ones, on public streams whose labels are there after all.

`python -m benchmarks.estimation DATA`: each batch is scored by the network that learned from all batches up to a few
before it, whose labels had come. Set side by side, as mean distance to the realised score: the estimate, the estimate
without what earlier labels told of its error, and what is usually taken, the score on the rows held out when the
network was made. Coverage: how often the realised score lies in the estimate's range (nominal .9).
"""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch

from benchmarks.results import write_json
from data.readers import read_batch, read_columns
from data.samples import Samples, join_samples
from data.schema import resolve_schema
from data.sources import iter_arrivals
from data.splits import split_rows
from data.windows import classes_of, last_rows, make_samples
from deployments.pipeline import PipelineConfig
from learning.candidate import Candidate
from learning.learn import bootstrap, update
from learning.plan import LearningPlan
from monitoring.estimation import Estimator, estimate, fit_estimator
from monitoring.performance import Predictions, score

PIPELINES = Path(__file__).parents[1] / "deployments" / "pipelines"
STREAMS = {
    "weather": ("weather", 500),
    "electricity": ("electricity", 1000),
    "gas-turbine-nox": ("gas_turbine", 600),
    "bike": ("bike_hourly", 500),
}
LAGS = (1, 5)
"""Batches by which the labels are late."""
ESTIMATOR_ROWS = 2_000


def main(data: Path, seed: int) -> None:
    """Print and write the table."""
    results = {name: run_stream(name, data / folder, rows, seed) for name, (folder, rows) in STREAMS.items()}
    write_json(f"estimation-{seed}", results)


def run_stream(name: str, folder: Path, batch_rows: int, seed: int) -> dict[str, Any]:
    """Learn batch by batch, and estimate every batch that comes `LAGS` later."""
    config = PipelineConfig.load(PIPELINES / f"{name}.yaml")
    config = config.model_copy(update={"training": config.training.model_copy(update={"seed": seed})})
    train, holdout, whole, classes = read_stream(config, folder, batch_rows)
    plan = LearningPlan(config.model, config.training, config.update, config.task, len(classes) if classes else 1)
    versions: list[tuple[Candidate, Estimator | None, float]] = []
    candidate: Candidate | None = None
    for number in range(len(whole)):
        made = bootstrap(plan, train[0]) if candidate is None else update(plan, candidate, train[number])
        latest = join_samples(holdout[: number + 1])
        latest = latest.take(torch.arange(max(0, len(latest) - ESTIMATOR_ROWS), len(latest)))
        predictions, targets_B = predict(made, latest), latest.targets_B.numpy()
        estimator = fit_estimator(config.metric, predictions, last_rows(latest), targets_B, seed)
        new = holdout[number]
        versions.append((made, estimator, score(config.metric, predict(made, new), new.targets_B.numpy())))
        candidate = made
    found = {f"lag {lag}": at_lag(config, versions, whole, lag) for lag in LAGS}
    for lag, row in found.items():
        print(name, config.metric, lag, {key: round(value, 4) for key, value in row.items()}, flush=True)
    return found


def at_lag(
    config: PipelineConfig, versions: list[tuple[Candidate, Estimator | None, float]], whole: list[Samples], lag: int
) -> dict[str, float]:
    """Mean distances over all batches whose labels come so many batches later."""
    rows: list[tuple[float, float, float, float, bool]] = []
    pairs: list[tuple[float, float]] = []
    for number, (version, estimator, promoted) in enumerate(versions[: len(whole) - lag]):
        if estimator is None:
            continue
        samples = whole[number + lag]
        predictions = predict(version, samples)
        realised = score(config.metric, predictions, samples.targets_B.numpy())
        known = pairs[: max(0, len(pairs) - lag + 1)]
        found, blind = (estimate(estimator, predictions, last_rows(samples), told) for told in (known, ()))
        rows.append((realised, found.score, blind.score, promoted, found.low <= realised <= found.high))
        pairs.append((found.expected, realised))
    realised, told, blind, promoted, inside = np.array(rows, dtype=np.float64).T
    distances = {"estimate": told, "blind estimate": blind, "score when promoted": promoted}
    means = {key: float(np.abs(values - realised).mean()) for key, values in distances.items()}
    return {**means, "coverage": float(inside.mean()), "mean score": float(realised.mean()), "batches": len(rows)}


def read_stream(
    config: PipelineConfig, folder: Path, batch_rows: int
) -> tuple[list[Samples], list[Samples], list[Samples], list[str] | None]:
    """Training, held-out and all samples of each batch, and the classes."""
    arrivals = list(iter_arrivals([folder], batch_rows))
    schema = resolve_schema(config.data, config.task, read_columns(arrivals[0]))
    frames: list[pl.DataFrame] = []
    for number, arrival in enumerate(arrivals, start=1):
        frame = read_batch(arrival, schema)
        split = split_rows(frame.height, config.data, seed=number)
        place = pl.int_range(1, frame.height + 1, dtype=pl.Int32).alias("lehr_row")
        frames.append(
            frame.with_columns(place, pl.lit(number, pl.Int32).alias("lehr_batch"), pl.Series("lehr_split", split))
        )
    classes, length = classes_of(pl.concat(frames), schema), config.data.window.length
    parts = [[frame.filter(pl.col("lehr_split") == s) for frame in frames] for s in ("train", "holdout")]
    train, holdout, whole = ([make_samples(f, schema, length, classes) for f in part] for part in (*parts, frames))
    return train, holdout, whole, classes


@torch.no_grad()
def predict(candidate: Candidate, samples: Samples) -> Predictions:
    """What the network that would be served says."""
    return candidate.served()(samples.inputs()).numpy()


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 0)
