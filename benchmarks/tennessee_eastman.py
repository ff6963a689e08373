"""Faults of the Tennessee Eastman process (Downs & Vogel 1993) from windows: macro-F1 on the test runs.

`python -m benchmarks.tennessee_eastman DATA_FOLDER [--seeds 3] [--held-out]`: one training of the hybrid network for
each seed on the training runs of the faults 0 (none) to 2 and 4 to 7. A test run is normal for its first 160 samples;
windows that span the onset are left out. --held-out judges on the last quarter of the training runs instead, for
choosing settings. Prints the macro-F1 of each seed and writes benchmarks/out/tennessee_eastman.json.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl
import torch

from benchmarks.results import write_json
from data.samples import Samples
from learning.config import TrainingConfig
from learning.fitting import fit
from learning.normalisation import fit_normalisers
from learning.progress import ProgressBar
from models.config import CnnLstmConfig
from models.network import Network, build_network
from monitoring.performance import score

FAULTS = (0, 1, 2, 4, 5, 6, 7)
ONSET = 160
WINDOW = 20
MODEL = CnnLstmConfig(channels=[32, 64], units=64, hidden_units=[64, 32], dropout=0.2)
TRAINING = TrainingConfig(epochs=60, patience=60, batch_size=64, learning_rate=2e-3, ema_decay=0.99, clip_norm=1.0)
"""Chosen on parts of the training runs; the test runs had no part in it."""


def regimes(frame: pl.DataFrame, split: str) -> pl.DataFrame:
    """The rows of one split with the class that holds there and the stretch that no window may leave."""
    rows = frame.filter((pl.col("split") == split) & pl.col("fault").is_in(FAULTS)).sort("fault", "sample")
    normal = (pl.col("sample") < ONSET) if split == "test" else pl.lit(False)
    numbered = pl.col("fault").replace_strict({fault: i for i, fault in enumerate(FAULTS)})
    return rows.with_columns(label=pl.when(normal).then(0).otherwise(numbered), stretch=pl.col("fault") * 2 + normal)


def windows(rows: pl.DataFrame, columns: Sequence[str]) -> Samples:
    """All windows that lie inside one stretch."""
    place_N = rows.select(pl.int_range(pl.len()).over("stretch")).to_series().to_numpy()
    ends_B = torch.from_numpy(np.flatnonzero(place_N >= WINDOW - 1))
    rows_NC = torch.from_numpy(rows.select(columns).to_numpy().astype(np.float32)).contiguous()
    labels_N, stretches_N = (torch.from_numpy(rows[c].to_numpy().astype(np.int64)) for c in ("label", "stretch"))
    return Samples(rows_NC, ends_B - (WINDOW - 1), WINDOW, labels_N[ends_B], stretches_N[ends_B])


def train(samples: Samples, seed: int) -> Network:
    """A fresh network trained on the samples; its units are the deviations of normal operation."""
    torch.manual_seed(seed)
    network = build_network(MODEL, samples.rows_NC.shape[1], len(FAULTS), "classification")
    fit_normalisers(network, samples.take((samples.targets_B == 0).nonzero().flatten()))
    fit(network, samples, TRAINING, [ProgressBar(f"seed {seed}")])
    return network.eval()


@torch.no_grad()
def macro_f1(network: Network, samples: Samples) -> float:
    """The mean over the classes."""
    probabilities = torch.cat([network(samples.inputs(part)) for part in torch.arange(len(samples)).split(1024)])
    return score("macro_f1", probabilities.numpy(), samples.targets_B.numpy())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--held-out", action="store_true")
    arguments = parser.parse_args()
    frame = pl.read_parquet(arguments.folder / "tep.parquet")
    columns = [c for c in frame.columns if c not in ("fault", "split", "sample")]
    learned, judged = regimes(frame, "train"), regimes(frame, "test")
    if arguments.held_out:
        late = pl.col("sample") >= 360
        learned, judged = learned.filter(~late), learned.filter(late)
    scores: list[float] = []
    for seed in range(arguments.seeds):
        samples = windows(judged, columns)
        scores.append(macro_f1(train(windows(learned, columns), seed), samples))
        print(f"seed {seed}: macro-F1 {scores[-1]:.3f} on {len(samples):,} windows")
    write_json("tennessee_eastman", {"macro_f1": scores})


if __name__ == "__main__":
    main()
