"""Keypoints of heart beats that follow one another: how many beats can be aligned, and how far off each is.

`python -m benchmarks.ecg_order DATA/ecg_beats [--seeds 0 1 2]`. A network is trained briefly on the records that
`benchmarks.ecg` develops on, and read in three ways on the manual annotations of the records that it looks at there:
each keypoint's likeliest step, the median of its distribution, and the median given the order. Writes
benchmarks/out/ecg_order.json and .png.
"""

import argparse
from pathlib import Path
from typing import Any, Literal

import numpy as np

from benchmarks.ecg_records import error_ms, manual, of_records, records_of
from benchmarks.results import bar_chart, write_json
from data.alignment import align_signals
from data.signal_sources import read_signals
from data.signals import Signals
from learning.representation import fit_representation, represent
from learning.representation_config import RepresentationConfig
from models.config import HierarchicalConfig
from models.hierarchical import HierarchicalSignalNet

Decoding = Literal["argmax", "median", "ordered"]
DECODINGS: tuple[Decoding, ...] = ("argmax", "median", "ordered")
EPOCHS, BATCHES = 6, 40


def read_in(network: HierarchicalSignalNet, beats: Signals, decoding: Decoding) -> Any:
    """The network's weights read by a decoding: refused beats and mean absolute errors."""
    again = HierarchicalSignalNet(
        network.in_channels, network.keypoints, network.config.model_copy(update={"decoding": decoding})
    )
    again.load_state_dict(network.state_dict())
    positions = represent(again.eval(), beats).positions
    targets = {name: float(np.nanmean(positions_N)) for name, positions_N in beats.keypoints.items()}
    refused = len(align_signals(beats, positions, targets).refused)
    errors = error_ms(np.stack(list(positions.values()), 1), beats)
    return {"beats": len(beats), "refused": refused, "error_ms": errors, "mean_ms": float(np.mean([*errors.values()]))}


def brief(known: Signals, seed: int) -> HierarchicalSignalNet:
    """A network after a few hundred steps."""
    config = RepresentationConfig(epochs=EPOCHS, batches=BATCHES, held_out=0.0, seed=seed)
    return fit_representation(known, HierarchicalConfig(), config).network


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    arguments = parser.parse_args()
    signals = read_signals(arguments.folder / "ecg_beats.npz")
    learned, looked_at = records_of(signals, "development")
    known, beats = of_records(signals, learned), manual(of_records(signals, looked_at))
    found: dict[str, list[Any]] = {decoding: [] for decoding in DECODINGS}
    for seed in arguments.seeds:
        network = brief(known, seed)
        for decoding in DECODINGS:
            found[decoding].append(read_in(network, beats, decoding))
            told = found[decoding][-1]
            print(f"seed {seed} {decoding:8} refused {told['refused']} of {told['beats']}, {told['mean_ms']:.1f} ms")
    write_json("ecg_order", found)
    shown = {
        decoding: {"refused, %": 100 * float(np.mean([r["refused"] / r["beats"] for r in runs]))}
        | {"error, ms": float(np.mean([r["mean_ms"] for r in runs]))}
        for decoding, runs in found.items()
    }
    bar_chart("ecg_order", "Beats of people never seen that cannot be aligned, and keypoints' error", shown)


if __name__ == "__main__":
    main()
