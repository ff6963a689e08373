"""Learning to represent signals that come grouped, and going on when new elements come.

Shapes: N signals, C channels, K keypoints, E numbers of an embedding.
"""

from collections.abc import Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray

from data.signals import SignalBatch, SignalDataset, Signals, join_signals
from learning.callbacks import Followed, Listener
from learning.metrics import Training
from learning.randomness import seeded
from learning.representation_config import RepresentationConfig
from learning.representation_training import RepresentationTraining, holding
from learning.samplers import HierarchicalSampler
from models.config import HierarchicalConfig
from models.hierarchical import HierarchicalSignalNet

HELD_OUT_BATCHES = 8
REPRESENTED_AT_ONCE = 256

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Learned:
    """A trained network, ready to represent signals, and what its training did."""

    network: HierarchicalSignalNet
    training: Training


@dataclass(frozen=True)
class Represented:
    """embeddings_NE: of length one. positions: by name where each keypoint lies, in samples, float32 (N,)."""

    embeddings_NE: Floats
    positions: dict[str, Floats]


def fit_representation(
    signals: Signals,
    model: HierarchicalConfig | None = None,
    config: RepresentationConfig | None = None,
    checkpoints: Path | None = None,
    start: HierarchicalSignalNet | None = None,
    callbacks: Sequence[Listener[Followed]] = (),
) -> Learned:
    """A network that learns from all signals but those of the elements held out for early stopping.

    start: a network whose weights it starts from, which stays as it is, normaliser included; None: fresh weights of
    `model`. checkpoints: a folder; a training of the same signals and configuration found there goes on, to the bit.
    callbacks: hear of the training, and may stop it.
    Raises ValueError for fewer than two elements and for signals whose channels or keypoints (in whatever order) are
    not those of `start`, FloatingPointError where a loss is not finite.
    """
    model, config = model or HierarchicalConfig(), config or RepresentationConfig()
    signals = signals if start is None else _as_for(start, signals)
    learned, held_out = _hold_out(signals, config)
    network = _fresh(learned, model, config.seed) if start is None else deepcopy(start)
    sampler = _sampler(learned, config, config.p_elements, 0)

    def batches(epoch: int) -> Iterator[list[int]]:
        sampler.load_state_dict({**sampler.state_dict(), "given": (epoch - 1) * len(sampler)})
        return iter(sampler)

    training = RepresentationTraining(
        network,
        SignalDataset(learned),
        config,
        batches,
        len(sampler),
        [] if held_out is None else _watched(held_out, config),
        checkpoints=checkpoints,
        callbacks=callbacks,
    )
    return Learned(network, training.run())


def update_representation(
    before: HierarchicalSignalNet,
    memory: Signals,
    new: Signals,
    config: RepresentationConfig | None = None,
    checkpoints: Path | None = None,
    callbacks: Sequence[Listener[Followed]] = (),
) -> Learned:
    """The network after it learned new elements (or more of known ones), while old ones are replayed and held.

    memory: signals of earlier elements (`choose_memory`), which make half of every batch. It takes `update_share` of a
    training's epochs, and leaves the network that is given, and the normaliser, as they are. checkpoints, callbacks: as
    `fit_representation`. Raises ValueError for no signals in either part and for other channels or keypoints than the
    network's.
    """
    config = config or RepresentationConfig()
    memory, new = _as_for(before, memory), _as_for(before, new)
    quick = config.model_copy(
        update={
            "epochs": max(1, round(config.update_share * config.epochs)),
            "learning_rate": config.learning_rate * config.update_rate,
        }
    )
    network, dataset = deepcopy(before), SignalDataset(join_signals([memory, new]))
    half = max(1, config.p_elements // 2)
    old_sampler, new_sampler = _sampler(memory, quick, half, 1), _sampler(new, quick, half, 2)
    steps = config.batches or max(1, len(dataset) // (config.p_elements * config.k_samples))

    def batches(epoch: int) -> Iterator[list[int]]:
        for sampler in (old_sampler, new_sampler):
            sampler.load_state_dict({**sampler.state_dict(), "given": (epoch - 1) * steps})
        for old, latest in islice(zip(_endless(old_sampler), _endless(new_sampler), strict=True), steps):
            yield [*old, *(place + len(memory) for place in latest)]

    penalty = holding(before, dataset.element_ids[: len(memory)].unique(), config.hold) if config.hold else None
    training = RepresentationTraining(
        network, dataset, quick, batches, steps, [], penalty, checkpoints=checkpoints, callbacks=callbacks
    )
    return Learned(network, training.run())


def choose_memory(signals: Signals, per_element: int, seed: int) -> Signals:
    """At most so many signals of each element at random, as evenly over its sessions as they allow.

    Raises ValueError for fewer than one.
    """
    if per_element < 1:
        raise ValueError(f"a memory keeps one signal of each element or more, not {per_element}")
    frame = pl.DataFrame({"element": signals.elements_N, "session": signals.sessions_N}).with_row_index("place")
    shuffled = frame.sample(fraction=1, shuffle=True, seed=seed)
    in_turn = shuffled.with_columns(turn=pl.int_range(pl.len()).over("session")).sort("turn", maintain_order=True)
    return signals.take(in_turn.group_by("element", maintain_order=True).head(per_element)["place"].sort().to_numpy())


@torch.no_grad()
def represent(network: HierarchicalSignalNet, signals: Signals) -> Represented:
    """Embeddings and positions of all signals, by the network as it is served.

    Raises ValueError for no signals, and for another number of channels than the network's.
    """
    _check_channels(network, signals)
    network.eval()
    parts = [_represented(network, batch) for batch in _in_turn(SignalDataset(signals))]
    embeddings_NE = np.concatenate([embeddings for embeddings, _ in parts])
    positions_NK = np.concatenate([positions for _, positions in parts])
    return Represented(embeddings_NE, dict(zip(network.keypoints, positions_NK.T, strict=True)))


def fit_normaliser(network: HierarchicalSignalNet, signals: Signals) -> None:
    """Give the network each channel's mean and deviation over the signals, padding left out."""
    steps_T = np.arange(signals.values_NCT.shape[2])
    valid_NT = steps_T < signals.lengths_N[:, None]
    values_CM = signals.values_NCT.transpose(1, 0, 2)[:, valid_NT].astype(np.float64)
    std_C = values_CM.std(1)
    network.normaliser.mean_C.copy_(torch.from_numpy(values_CM.mean(1)))
    network.normaliser.std_C.copy_(torch.from_numpy(np.where(std_C > 0, std_C, 1.0)))


def _fresh(signals: Signals, model: HierarchicalConfig, seed: int) -> HierarchicalSignalNet:
    with seeded(seed, 0):
        network = HierarchicalSignalNet(signals.channels, tuple(signals.keypoints), model)
    fit_normaliser(network, signals)
    return network


def _check_channels(network: HierarchicalSignalNet, signals: Signals) -> None:
    if len(signals) == 0:
        raise ValueError("there are no signals")
    if signals.channels != network.in_channels:
        raise ValueError(f"the network takes signals of {network.in_channels} channels, these have {signals.channels}")


def _as_for(network: HierarchicalSignalNet, signals: Signals) -> Signals:
    """The signals with their keypoints in the order of the network's, which are told apart by their place alone."""
    _check_channels(network, signals)
    if set(signals.keypoints) != set(network.keypoints):
        raise ValueError(
            f"the network finds the keypoints {sorted(network.keypoints)}, the signals have {sorted(signals.keypoints)}"
        )
    return replace(signals, keypoints={name: signals.keypoints[name] for name in network.keypoints})


def _represented(network: HierarchicalSignalNet, batch: SignalBatch) -> tuple[Floats, Floats]:
    representation = network(batch["signals"], batch["lengths"])
    return representation.embeddings_BE.numpy(), network.positions(representation).numpy()


def _in_turn(dataset: SignalDataset) -> Iterator[SignalBatch]:
    for places in torch.arange(len(dataset)).split(REPRESENTED_AT_ONCE):
        yield dataset[places]


def _hold_out(signals: Signals, config: RepresentationConfig) -> tuple[Signals, Signals | None]:
    """Signals of the elements to learn from, and of those held out; at least two elements are learned from."""
    elements_N = signals.elements_N
    elements = len(np.unique(elements_N))
    if elements < 2:
        raise ValueError(f"representations are learned from two elements or more; the signals have {elements}")
    wanted = min(round(config.held_out * elements), elements - 2)
    if wanted == 0:
        return signals, None
    chosen = np.random.default_rng([config.seed, 2]).permutation(elements)[:wanted]
    held_out_N = np.isin(elements_N, chosen)
    return signals.take(~held_out_N), signals.take(held_out_N)


def _sampler(signals: Signals, config: RepresentationConfig, p_elements: int, part: int) -> HierarchicalSampler:
    """Of as many elements as there are where a batch would take more."""
    there = len(np.unique(signals.elements_N))
    seed = int(np.random.SeedSequence([config.seed, part]).generate_state(1)[0])
    return HierarchicalSampler(
        signals.elements_N, signals.sessions_N, min(p_elements, there), config.k_samples, config.batches, seed
    )


def _watched(held_out: Signals, config: RepresentationConfig) -> list[SignalBatch]:
    dataset, sampler = SignalDataset(held_out), _sampler(held_out, config, config.p_elements, 3)
    return [dataset[places] for places in islice(_endless(sampler), HELD_OUT_BATCHES)]


def _endless(sampler: HierarchicalSampler) -> Iterator[list[int]]:
    while True:
        yield from sampler
