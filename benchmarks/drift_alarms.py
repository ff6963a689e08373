"""False alarms and power of drift detectors over a year of daily batches, on streams that never change and that do.

Writes benchmarks/out/drift_alarms.json and .png. `--streams` is the number of streams over all settings.
Shapes: R reference rows, B batches, N rows a batch, F sensors.
"""

import argparse
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import partial

import numpy as np
from scipy.stats import kstwo

from benchmarks.results import bar_chart, write_json
from benchmarks.stationary_streams import SETTINGS, Floats, Setting, make_stream
from monitoring.calibration import calibrate
from monitoring.detector import DetectorState, check

REFERENCE, BATCHES, ROWS, SENSORS = 1440, 365, 24, 20
SHIFTED, SHIFT, GROWTH, TIED = 3, 0.5, 1.5, 0.6
BUDGET = 0.05
LIMIT = BATCHES / BUDGET
POWER_PHIS = (0.0, 0.5, 0.9, 0.97, 0.99)

Change = Callable[[Floats], Floats]


def first_alarm(stream: Floats) -> int:
    """The number of the first batch that the e-detector calls drift; 0 for none."""
    calibration = calibrate(_channels(stream[:REFERENCE]), ROWS)
    state = DetectorState.start(calibration)
    for batch in range(BATCHES):
        start = REFERENCE + ROWS * batch
        state, evidence = check(calibration, state, _channels(stream[start : start + ROWS]), LIMIT)
        if evidence.drifted:
            return batch + 1
    return 0


def rules_alarm(stream: Floats) -> dict[str, bool]:
    """Whether simple rules, each batch against the reference, alarm at least once.

    Evidently's default measures by the Wasserstein distance over the deviation for references of more than 1,000 rows
    and by Kolmogorov and Smirnov's test otherwise; its data set drifts when half of the features do.
    """
    reference_RF = np.sort(stream[:REFERENCE], axis=0)
    batches_BNF = np.sort(stream[REFERENCE:].reshape(BATCHES, ROWS, SENSORS), axis=1)
    moved_BF = _wasserstein(reference_RF, batches_BNF) / reference_RF.std(0) >= 0.1
    distances_BF = _kolmogorov(reference_RF, batches_BNF)
    rows = round(REFERENCE * ROWS / (REFERENCE + ROWS))
    return {
        "Evidently, half of the features": bool((moved_BF.mean(1) >= 0.5).any()),
        "Evidently, any feature": bool(moved_BF.any()),
        "KS p < 0.05, half of the features": bool(((distances_BF > kstwo.isf(0.05, rows)).mean(1) >= 0.5).any()),
        "KS, Bonferroni over the year": bool((distances_BF > kstwo.isf(BUDGET / BATCHES / SENSORS, rows)).any()),
    }


def shifted(stream: Floats) -> Floats:
    """Half a deviation more in three sensors, from the end of the reference on."""
    changed = stream.copy()
    changed[REFERENCE:, :SHIFTED] += SHIFT
    return changed


def widened(stream: Floats) -> Floats:
    """Half as much variance again in three sensors."""
    changed = stream.copy()
    changed[REFERENCE:, :SHIFTED] *= np.sqrt(GROWTH)
    return changed


def tied(stream: Floats) -> Floats:
    """Three sensors correlated at 0.6 that were independent, with the distributions that they had."""
    changed = stream.copy()
    mixing = np.linalg.cholesky(np.full((SHIFTED, SHIFTED), TIED) + (1 - TIED) * np.eye(SHIFTED))
    changed[REFERENCE:, :SHIFTED] @= mixing.T
    return changed


def still_stream(setting: Setting, seed: int) -> dict[str, bool]:
    """Which detectors alarm on a stream that does not change."""
    stream = make_stream(setting, REFERENCE + BATCHES * ROWS, SENSORS, seed)
    return {"e-detector": first_alarm(stream) > 0, **rules_alarm(stream)}


def changed_stream(setting: Setting, change: Change, seed: int) -> int:
    """When the e-detector alarms on a stream that changes."""
    return first_alarm(change(make_stream(setting, REFERENCE + BATCHES * ROWS, SENSORS, seed)))


def false_alarms(pool: ProcessPoolExecutor, streams: int) -> dict[str, dict[str, float]]:
    """The share of streams with an alarm in the year, in percent, by setting and detector."""
    table: dict[str, dict[str, float]] = {}
    for name, setting in SETTINGS.items():
        alarms = list(pool.map(partial(still_stream, setting), range(streams), chunksize=4))
        table[name] = {rule: 100 * sum(alarm[rule] for alarm in alarms) / streams for rule in alarms[0]}
        print(f"{name:<24}" + "".join(f"  {rule} {share:.1f} %" for rule, share in table[name].items()), flush=True)
    return table


def power(pool: ProcessPoolExecutor, streams: int, change: Change) -> dict[str, dict[str, float]]:
    """Percent of changes found within the year and the median batches to the alarm among those found, by φ."""
    table: dict[str, dict[str, float]] = {}
    for phi in POWER_PHIS:
        run = partial(changed_stream, Setting(phi), change)
        delays = np.array(list(pool.map(run, range(10_000, 10_000 + streams), chunksize=4)))
        found = delays[delays > 0]
        median = float(np.median(found)) if len(found) else float(BATCHES)
        table[f"φ {phi:g}"] = {"found": 100 * len(found) / streams, "batches": median}
        print(f"{change.__name__} φ {phi:<5g} found {100 * len(found) / streams:.0f} %, after {median:.0f} batches")
    return table


def seconds() -> dict[str, float]:
    """Of one calibration and of one check."""
    stream = make_stream(Setting(0.9), REFERENCE + BATCHES * ROWS, SENSORS, 0)
    started = time.perf_counter()
    calibrate(_channels(stream[:REFERENCE]), ROWS)
    calibrated = time.perf_counter()
    first_alarm(stream)
    checked = time.perf_counter() - calibrated
    calibration = calibrated - started
    return {"calibration": calibration, "check": max(0.0, checked - calibration) / BATCHES}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--streams", type=int, default=1000)
    parser.add_argument("--processes", type=int, default=None)
    arguments = parser.parse_args()
    streams = max(1, arguments.streams // len(SETTINGS))
    times = seconds()
    print(", ".join(f"{name} {1000 * value:.1f} ms" for name, value in times.items()), flush=True)
    with ProcessPoolExecutor(arguments.processes) as pool:
        alarms = false_alarms(pool, streams)
        changes = {change.__name__: power(pool, max(1, streams // 2), change) for change in (shifted, widened, tied)}
    results = {"streams_a_setting": streams, "false_alarms": alarms, "power": changes, "seconds": times}
    write_json("drift_alarms", results)
    bar_chart("drift_alarms", "Streams without a change that raise an alarm within a year, %", alarms)


def _channels(values: Floats) -> dict[str, Floats]:
    return {f"s{i:02}": values[:, i] for i in range(values.shape[1])}


def _wasserstein(reference_RF: Floats, batches_BNF: Floats) -> Floats:
    """Of sorted samples, one size a multiple of the other's; (B, F)."""
    cut = reference_RF.reshape(ROWS, -1, SENSORS)
    return np.array([np.abs(cut - batch_NF[:, None]).mean((0, 1)) for batch_NF in batches_BNF])


def _kolmogorov(reference_RF: Floats, batches_BNF: Floats) -> Floats:
    """The greatest distance between the distribution functions of sorted samples; (B, F)."""
    steps = np.arange(ROWS + 1)[:, None] / ROWS
    distances_BF = np.empty((BATCHES, SENSORS))
    for f in range(SENSORS):
        values_NB = batches_BNF[:, :, f].T
        upto_NB = np.searchsorted(reference_RF[:, f], values_NB, "right") / REFERENCE
        below_NB = np.searchsorted(reference_RF[:, f], values_NB, "left") / REFERENCE
        distances_BF[:, f] = np.maximum((steps[1:] - upto_NB).max(0), (below_NB - steps[:-1]).max(0))
    return distances_BF


if __name__ == "__main__":
    main()
