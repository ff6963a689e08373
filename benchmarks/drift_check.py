"""A whole drift check of a million rows against a stored reference, and Evidently's preset with the same statistic.

The check: every feature's distance and threshold, and the e-detector's evidence. Evidently compares with as many rows;
lehr with what a version's reference file holds. Seconds are of the processor, on one thread, so that a busy machine
changes little. Writes benchmarks/out/drift_check.json and .png.
"""

import argparse
import statistics
import time
import warnings
from collections.abc import Callable

import numpy as np
import polars as pl
from scipy.signal import lfilter

from benchmarks.results import bar_chart, write_json
from data.schema import Schema
from monitoring.config import STATISTICS, DriftConfig, Statistic
from monitoring.drift import check_drift
from monitoring.reference import Reference, make_reference

FEATURES, PHI, SHIFT = 10, 0.9, 0.2
NAMES = tuple(f"s{i}" for i in range(FEATURES))
SCHEMA = Schema(NAMES, "y", None, None, "regression", ())
PEERS: dict[Statistic, str] = {
    "wasserstein": "wasserstein",
    "kolmogorov_smirnov": "ks",
    "jensen_shannon": "jensenshannon",
    "psi": "psi",
}
ROUNDS = 5


def readings(rows: int, seed: int) -> pl.DataFrame:
    """Autocorrelated sensors, and their sum with noise as the target."""
    rng = np.random.default_rng(seed)
    noise = rng.standard_normal((rows + 500, FEATURES)) * np.sqrt(1 - PHI**2)
    values = np.asarray(lfilter([1], [1, -PHI], noise, axis=0))[500:]
    target = values.sum(1) + 0.1 * rng.standard_normal(rows)
    columns = {name: values[:, i].astype(np.float32) for i, name in enumerate(NAMES)}
    return pl.DataFrame({**columns, "y": target.astype(np.float32)})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--reference", type=int, default=5_000, help="rows of the reference that lehr keeps")
    arguments = parser.parse_args()
    before, batch = readings(arguments.rows, 0), readings(arguments.rows, 1)
    batch = batch.with_columns(pl.col("s0") + SHIFT)
    kept, ends_B = before.tail(arguments.reference), np.arange(arguments.rows)
    predictions = batch["y"].to_numpy()
    made = make_reference(kept, SCHEMA, kept["y"].to_numpy(), np.arange(kept.height), None, batch_rows=arguments.rows)
    stored = made.save()
    results: dict[str, dict[str, float]] = {}
    for statistic in STATISTICS:
        config = DriftConfig(statistic=statistic)

        def ours(config: DriftConfig = config) -> None:
            check_drift(Reference.load(stored), None, batch, SCHEMA, predictions, ends_B, config)

        ours()
        lehr = statistics.median(seconds(ours) for _ in range(ROUNDS))
        evidently = seconds(evidently_on(before, batch, statistic))
        results[statistic] = {"lehr": lehr, "Evidently": evidently}
        print(f"{statistic:<20} {lehr:.2f} s, Evidently {evidently:.1f} s: {evidently / lehr:.0f} ×", flush=True)
    write_json("drift_check", {"rows": arguments.rows, "reference_bytes": len(stored), "seconds": results})
    bar_chart("drift_check", f"Seconds for a drift check of {arguments.rows:,} × {FEATURES}", results)


def evidently_on(before: pl.DataFrame, batch: pl.DataFrame, statistic: Statistic) -> Callable[[], object]:
    """Evidently's preset on the features; both sides are in pandas before the clock starts."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its own dependencies deprecate one another
        from evidently import Report
        from evidently.presets import DataDriftPreset
    now, then = (frame.select(NAMES).to_pandas() for frame in (batch, before))
    report = Report([DataDriftPreset(num_method=PEERS[statistic])], include_tests=False)
    return lambda: report.run(now, then)


def seconds(work: Callable[[], object]) -> float:
    """Processor time of one call."""
    started = time.process_time()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        work()
    return time.process_time() - started


if __name__ == "__main__":
    main()
