"""Remaining useful life of turbofans, C-MAPSS FD001 (Saxena et al. 2008): RMSE on the official test set.

`python -m benchmarks.cmapss DATA_FOLDER [--seeds 3]`: one training of the hybrid network for each seed on all hundred
training engines; targets are capped at 125 cycles, and each test engine is judged at its last cycle. Prints the RMSE of
each seed and writes benchmarks/out/cmapss.json.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import polars as pl
import torch
from torch import Tensor

from benchmarks.results import write_json
from data.samples import Samples
from learning.augmentation import Noise, Scaling
from learning.config import TrainingConfig
from learning.fitting import fit
from learning.normalisation import fit_normalisers
from learning.progress import ProgressBar
from models.config import CnnLstmConfig
from models.network import Network, build_network

CAP = 125.0
WINDOW = 50
MODEL = CnnLstmConfig(channels=[32, 64], units=64, hidden_units=[64, 32], dropout=0.2)
TRAINING = TrainingConfig(
    epochs=20,
    batch_size=128,
    learning_rate=2e-3,
    patience=20,
    augmentations=[Noise(deviations=0.4), Scaling(deviations=0.2)],
    ema_decay=0.995,
    clip_norm=1.0,
)
"""Chosen on engines held out of the training engines, three draws of 25; the test set had no part in it."""


def read(path: Path) -> tuple[list[str], pl.DataFrame]:
    """Sensor and setting columns, and the rows in order of engine and cycle."""
    frame = pl.read_csv(path).sort("unit", "cycle")
    return [c for c in frame.columns if c not in ("unit", "cycle")], frame


def training_samples(frame: pl.DataFrame, columns: Sequence[str]) -> Samples:
    """Windows that end at each cycle from the fiftieth on, with the cycles left, capped."""
    frame = frame.with_columns(left=pl.col("cycle").max().over("unit") - pl.col("cycle"))
    ends_B = torch.from_numpy((frame["cycle"] >= WINDOW).arg_true().to_numpy().astype("int64"))
    targets_N = torch.from_numpy(frame["left"].to_numpy().astype("float32")).clamp(max=CAP)
    rows_NC = torch.from_numpy(frame.select(columns).to_numpy().astype("float32")).contiguous()
    units_N = torch.from_numpy(frame["unit"].to_numpy().astype("int64"))
    return Samples(rows_NC, ends_B - (WINDOW - 1), WINDOW, targets_N[ends_B], units_N[ends_B])


def train(samples: Samples, seed: int) -> Network:
    """A fresh network trained on the samples."""
    torch.manual_seed(seed)
    network = build_network(MODEL, samples.rows_NC.shape[1], 1, "regression")
    fit_normalisers(network, samples)
    fit(network, samples, TRAINING, [ProgressBar(f"seed {seed}")])
    return network.eval()


@torch.no_grad()
def predict_ends(network: Network, frame: pl.DataFrame, columns: Sequence[str]) -> Tensor:
    """The cycles left of each engine after its last row, in order of engine."""
    # An engine that has not run for fifty cycles yet is judged from those it has.
    engines = [part.select(columns).tail(WINDOW) for part in frame.partition_by("unit", maintain_order=True)]
    return torch.cat([network(torch.from_numpy(e.to_numpy().astype("float32"))[None]) for e in engines])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seeds", type=int, default=3)
    arguments = parser.parse_args()
    columns, frame = read(arguments.folder / "train_FD001.csv.gz")
    _, test = read(arguments.folder / "test_FD001.csv.gz")
    text = (arguments.folder / "RUL_FD001.txt").read_text().split()
    truth = torch.tensor([float(value) for value in text]).clamp(max=CAP)
    errors: list[float] = []
    for seed in range(arguments.seeds):
        network = train(training_samples(frame, columns), seed)
        errors.append((predict_ends(network, test, columns) - truth).square().mean().sqrt().item())
        print(f"seed {seed}: RMSE {errors[-1]:.2f} cycles on {len(truth)} engines")
    write_json("cmapss", {"rmse": errors})


if __name__ == "__main__":
    main()
