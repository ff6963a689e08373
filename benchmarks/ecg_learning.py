"""The network that finds the waves of heart beats, and what it learns from: made people, records, and two teachers."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from benchmarks.synthetic_beats import synthetic_beats
from data.signals import Signals, join_signals
from learning.metric import HierarchicalLossConfig
from learning.representation import fit_normaliser, fit_representation
from learning.representation_config import RepresentationConfig
from learning.signal_augmentation import SignalAugmentation
from learning.teaching import taught
from models.config import HierarchicalConfig
from models.hierarchical import HierarchicalSignalNet

MODEL = HierarchicalConfig(channels=[24, 32, 48], kernel_size=7, hidden_units=48, decoder="unet", decoding="median")
TRAINING = RepresentationConfig(
    epochs=24,
    batches=60,
    learning_rate=3e-3,
    p_elements=16,
    k_samples=4,
    held_out=0.0,
    loss=HierarchicalLossConfig(metric="factored_contrastive", lambda_metric=0.2),
    augmentation=SignalAugmentation(
        stretch=0.15,
        warp=0.25,
        shift=12,
        mixing=0.5,
        modulation=0.5,
        scale=0.3,
        flip=0.3,
        swap=0.3,
        silence=0.15,
        wander=0.3,
        noise=0.15,
    ),
)
SYNTHETIC_PEOPLE, SYNTHETIC_BEATS, SYNTHETIC_EPOCHS, SYNTHETIC_RATE = 400, 8, 8, 4e-3
SYNTHETIC_SHARE, SYNTHETIC_WEIGHT, OTHER_PEOPLE = 1.0, 0.5, 77
"""While it learns from records: people who do not exist beside each record, what their keypoints count, their seeds."""

TEACHERS, TAUGHT_WEIGHT = 3, 0.5
"""Each student has two of so many teachers; what their word counts beside a manual annotation."""

OWN = 0.5
"""What stays of a beat's own times beside those that its session agrees on."""

SYNTHETIC = (SYNTHETIC_PEOPLE, SYNTHETIC_EPOCHS, SYNTHETIC_RATE, SYNTHETIC_SHARE, SYNTHETIC_WEIGHT)


def start_from(signals: Signals, seed: int) -> HierarchicalSignalNet:
    """A network trained on people who do not exist, its normaliser fitted to these signals."""
    config = TRAINING.model_copy(update={"seed": seed, "epochs": SYNTHETIC_EPOCHS, "learning_rate": SYNTHETIC_RATE})
    start = fit_representation(synthetic_beats(SYNTHETIC_PEOPLE, SYNTHETIC_BEATS, seed), MODEL, config).network
    fit_normaliser(start, signals)
    return start


def learn(signals: Signals, seed: int, made_p_peaks: bool = True) -> HierarchicalSignalNet:
    """A network trained on people who do not exist, then on some records among others who do not."""
    people = round(SYNTHETIC_SHARE * len(np.unique(signals.elements_N)))
    among = synthetic_beats(people, SYNTHETIC_BEATS, OTHER_PEOPLE + seed).weighed({"synthetic": SYNTHETIC_WEIGHT})
    if not made_p_peaks:
        unknown_N = np.full(len(among), np.nan, np.float32)
        among = replace(among, keypoints={**among.keypoints, "p_peak": unknown_N})
    config, start = TRAINING.model_copy(update={"seed": seed}), start_from(signals, seed)
    return fit_representation(join_signals([signals, among]), config=config, start=start).network


def learn_from_teachers(
    signals: Signals, teachers: Sequence[HierarchicalSignalNet], seed: int
) -> HierarchicalSignalNet:
    """A network that learns the manual annotations, and of the other beats what the teachers say of them."""
    said = taught(signals, teachers, ["auto"], OWN).weighed({"auto": TAUGHT_WEIGHT})
    return learn(said, seed, made_p_peaks=False)
