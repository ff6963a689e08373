"""Keypoints read in several variants of a signal: what one variant misleads the network to, the others do not say.

Shapes: N signals, T samples of the longest signal.
"""

from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray

from data.signals import Signals
from learning.randomness import seeded
from learning.representation import represent
from learning.signal_augmentation import SignalAugmentation, augment_signals
from models.hierarchical import HierarchicalSignalNet

Floats = NDArray[np.float32]


def positions_in_views(
    network: HierarchicalSignalNet, signals: Signals, variation: SignalAugmentation, views: int, seed: int = 0
) -> dict[str, Floats]:
    """By name where each keypoint lies, in samples, float32 (N,): the median over so many views of each signal.

    The first view is the signal itself, the others are variants like those of a training (best are smaller ones), in
    which keypoints are found and taken back to where they lie in the signal. It costs `views` readings. Test-time
    augmentation (Krizhevsky et al. 2012). Raises ValueError for no view.
    """
    if views < 1:
        raise ValueError(f"signals are read in one view or more, not {views}")
    read = [represent(network, signals).positions]
    for view in range(1, views):
        with seeded(seed, view):
            read.append(_read_variant(network, signals, variation))
    return {name: np.nanmedian([positions[name] for positions in read], axis=0) for name in read[0]}


def _read_variant(network: HierarchicalSignalNet, signals: Signals, variation: SignalAugmentation) -> dict[str, Floats]:
    """NaN for a signal of which nothing is left in the variant."""
    mean_C1, std_C1 = network.normaliser.mean_C[:, None], network.normaliser.std_C[:, None]
    normal_NCT = (torch.from_numpy(signals.values_NCT) - mean_C1) / std_C1
    lengths_N, samples_T = torch.from_numpy(signals.lengths_N), torch.arange(normal_NCT.shape[2], dtype=torch.float32)
    samples_NT = torch.where(samples_T < lengths_N[:, None], samples_T, torch.nan)
    varied_NCT, places_NT = augment_signals(normal_NCT, lengths_N, samples_NT, torch.arange(len(signals)), variation)
    found = represent(network, replace(signals, values_NCT=(varied_NCT * std_C1 + mean_C1).numpy())).positions
    return {name: _taken_back(positions_N, places_NT.numpy()) for name, positions_N in found.items()}


def _taken_back(positions_N: Floats, places_NT: Floats) -> Floats:
    """From places in the variants to samples of the signals, of which each lies at its place, NaN where it left."""
    samples_T = np.arange(places_NT.shape[1])
    back_N = np.full(len(places_NT), np.nan, np.float32)
    for n, (position, places_T) in enumerate(zip(positions_N, places_NT, strict=True)):
        there_T = ~np.isnan(places_T)
        if there_T.any():
            back_N[n] = np.interp(position, places_T[there_T], samples_T[there_T])
    return back_N
