import numpy as np
import pytest

from data.signals import Signals, make_signals
from learning.representation import fit_representation, represent
from learning.representation_config import RepresentationConfig
from learning.signal_augmentation import SignalAugmentation
from learning.views import positions_in_views
from models.config import HierarchicalConfig
from models.hierarchical import HierarchicalSignalNet

MODEL = HierarchicalConfig(channels=[8, 12], hidden_units=12, embedding_dim=8, dropout=0.0)
MOVED = SignalAugmentation(stretch=0.1, warp=0.1, shift=8)
CONFIG = RepresentationConfig(
    epochs=8, batches=10, p_elements=4, k_samples=4, learning_rate=1e-2, held_out=0.0, ema_decay=0.9, augmentation=MOVED
)


def pulses(signals: int, seed: int) -> Signals:
    """Noisy pulses, of different length, whose top is a keypoint."""
    generator = np.random.default_rng(seed)
    tops, lengths = generator.uniform(18, 42, signals), generator.integers(60, 70, signals)
    values = [
        (np.exp(-0.5 * ((np.arange(n) - top) / 3) ** 2) + 0.2 * generator.standard_normal(n))[None]
        for n, top in zip(lengths, tops, strict=True)
    ]
    elements, sessions = zip(*((f"e{n % 4}", f"s{n // 4 % 2}") for n in range(signals)), strict=True)
    return make_signals(values, elements, sessions, {"top": tops})


@pytest.fixture(scope="module")
def network() -> HierarchicalSignalNet:
    return fit_representation(pulses(80, 0), MODEL, CONFIG).network


def test_one_view_is_the_signal_itself(network: HierarchicalSignalNet) -> None:
    unseen = pulses(20, 1)
    plain = represent(network, unseen).positions["top"]
    assert np.array_equal(positions_in_views(network, unseen, MOVED, 1)["top"], plain)
    assert np.allclose(positions_in_views(network, unseen, SignalAugmentation(), 3)["top"], plain, atol=1e-3)


def test_what_is_found_in_a_moved_variant_is_taken_back(network: HierarchicalSignalNet) -> None:
    unseen = pulses(200, 1)
    plain, both = represent(network, unseen).positions["top"], positions_in_views(network, unseen, MOVED, 2)["top"]
    moved = 2 * both - plain
    assert np.abs(moved - plain).max() > 0.1
    assert np.median(np.abs(moved - plain)) < 1.0


def test_more_views_are_nearer_to_the_truth(network: HierarchicalSignalNet) -> None:
    unseen = pulses(400, 2)
    errors = [
        np.abs(positions_in_views(network, unseen, MOVED, views)["top"] - unseen.keypoints["top"]).mean()
        for views in (1, 8)
    ]
    assert errors[1] < errors[0]


def test_what_left_the_signal_does_not_count_and_nothing_is_found_outside(network: HierarchicalSignalNet) -> None:
    short = make_signals([np.ones((1, n)) for n in (2, 9)], ["a", "b"], ["s", "s"], {"top": [0.0, 0.0]})
    plain = represent(network, short).positions["top"]
    found = positions_in_views(network, short, SignalAugmentation(shift=1e6), 4)["top"]
    assert np.array_equal(found, plain)
    near = positions_in_views(network, short, SignalAugmentation(shift=3), 8)["top"]
    assert ((near >= np.minimum(plain, 0)) & (near <= np.maximum(plain, short.lengths_N - 1))).all()


def test_the_seed_decides(network: HierarchicalSignalNet) -> None:
    unseen = pulses(20, 1)
    first, again, other = (positions_in_views(network, unseen, MOVED, 3, seed)["top"] for seed in (0, 0, 1))
    assert np.array_equal(first, again) and not np.array_equal(first, other)
    with pytest.raises(ValueError, match="one view or more, not 0"):
        positions_in_views(network, unseen, MOVED, 0)
