"""Why the default preset is the default: every preset on three data sets, with score, calibration error and seconds.

`python -m benchmarks.presets DATA_FOLDER [--seeds 3]`: an MLP on the first three fifths of the rows and judged on the
last fifth (gas sensors: batches 1 to 4 against 5). Weather is noisy, the gas sensors drift, the machine failures are
rare (3 %); the score is balanced accuracy. Calibration error: the mean distance of confidence to accuracy over fifteen
bins of equal width (Guo et al. 2017). Means over the seeds; writes benchmarks/out/presets.json and presets.png.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from statistics import mean
from time import perf_counter

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray

from benchmarks.results import bar_chart, write_json
from data.samples import Samples
from learning.config import TrainingConfig
from learning.fitting import fit
from learning.normalisation import fit_normalisers
from learning.presets import TRAINING_PRESETS
from models.config import MlpConfig
from models.network import build_network
from monitoring.performance import score

BINS = 15
FIGURES: tuple[str, ...] = ("score", "calibration error", "seconds")
PRESETS = ("fast", *TRAINING_PRESETS)


def samples_of(frame: pl.DataFrame, features: Sequence[str], target: str, classes: Sequence[str]) -> Samples:
    """Each row with its class."""
    rows_NC = torch.from_numpy(frame.select(features).to_numpy().astype(np.float32)).contiguous()
    numbers = {label: i for i, label in enumerate(classes)}
    targets_N = frame[target].cast(pl.String).replace_strict(numbers, return_dtype=pl.Int64).to_numpy()
    ones = torch.ones(frame.height, dtype=torch.int64)
    return Samples(rows_NC, torch.arange(frame.height), 1, torch.from_numpy(targets_N.copy()), ones)


def split(frame: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The first three fifths and the last."""
    fifth = frame.height // 5
    return frame.head(3 * fifth), frame.tail(fifth)


def data_sets(folder: Path) -> dict[str, tuple[Samples, Samples, int]]:
    """Training and test samples and the number of classes of each data set."""
    weather, machines = pl.read_csv(folder / "weather/weather.csv"), pl.read_csv(folder / "ai4i/ai4i2020.csv")
    gas = [pl.read_parquet(folder / f"gas_sensor/batch_0{i}.parquet") for i in range(1, 6)]
    sensors = [c for c in gas[0].columns if c not in ("gas", "concentration_ppmv")]
    failures = ["UDI", "Product_ID", "Type", "Machine.failure", "TWF", "HDF", "PWF", "OSF", "RNF"]
    tables = {
        "weather": (*split(weather), [c for c in weather.columns if c != "target"], "target"),
        "gas sensors": (pl.concat(gas[:4]), gas[4], sensors, "gas"),
        "machine failures": (*split(machines), [c for c in machines.columns if c not in failures], "Machine.failure"),
    }
    found: dict[str, tuple[Samples, Samples, int]] = {}
    for name, (learned, judged, features, target) in tables.items():
        classes = sorted(learned[target].cast(pl.String).unique().to_list())
        known = judged.filter(pl.col(target).cast(pl.String).is_in(classes))
        parts = (samples_of(part, features, target, classes) for part in (learned, known))
        found[name] = (*parts, len(classes))  # pyright: ignore[reportArgumentType]
    return found


def calibration_error(probabilities_BK: NDArray[np.float32], targets_B: NDArray[np.int64]) -> float:
    """The expected calibration error of the most probable class."""
    confidence_B, right_B = probabilities_BK.max(1), probabilities_BK.argmax(1) == targets_B
    bins_B = np.minimum((confidence_B * BINS).astype(int), BINS - 1)
    chosen = [bins_B == b for b in range(BINS) if (bins_B == b).any()]
    return sum(abs(float(confidence_B[c].mean() - right_B[c].mean())) * float(c.mean()) for c in chosen)


def measure(preset: str, train: Samples, test: Samples, classes: int, seed: int) -> tuple[float, float, float]:
    """Balanced accuracy, calibration error and seconds of one training."""
    torch.manual_seed(seed)
    network = build_network(MlpConfig(), train.rows_NC.shape[1], classes, "classification")
    fit_normalisers(network, train)
    started = perf_counter()
    fit(network, train, TrainingConfig.model_validate({"preset": preset}))
    seconds = perf_counter() - started
    with torch.no_grad():
        probabilities_BK = network.eval()(test.inputs()).numpy()
    targets_B = test.targets_B.numpy()
    return (
        score("balanced_accuracy", probabilities_BK, targets_B),
        calibration_error(probabilities_BK, targets_B),
        seconds,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seeds", type=int, default=3)
    arguments = parser.parse_args()
    results: dict[str, dict[str, dict[str, float]]] = {}
    for name, (train, test, classes) in data_sets(arguments.folder).items():
        print(f"{name}: {len(train):,} rows learned, {len(test):,} judged")
        for preset in PRESETS:
            runs = [measure(preset, train, test, classes, seed) for seed in range(arguments.seeds)]
            means = [mean(values) for values in zip(*runs, strict=True)]
            figures = dict[str, float](zip(FIGURES, means, strict=True))
            results.setdefault(name, {})[preset] = figures
            print(f"  {preset:<11}" + "   ".join(f"{key} {value:.3f}" for key, value in figures.items()))
    write_json("presets", results)
    panels = {
        f"{name}: {key}": {preset: figures[key] for preset, figures in by_preset.items()}
        for name, by_preset in results.items()
        for key in ("score", "calibration error")
    }
    bar_chart("presets", "Presets: balanced accuracy and calibration error", panels)


if __name__ == "__main__":
    main()
