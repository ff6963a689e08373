import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from learning.signal_augmentation import SignalAugmentation, augment_signals

STEPS = 120


def pulses(places: list[float]) -> Tensor:
    """Two channels: a narrow pulse at each place, and another half as high."""
    pulse_BT = torch.exp(-0.5 * ((torch.arange(STEPS) - torch.tensor(places)[:, None]) / 3) ** 2)
    return torch.stack([pulse_BT, 0.5 * pulse_BT], dim=1)


def varied(config: SignalAugmentation, places: list[float], groups: list[int] | None = None) -> tuple[Tensor, Tensor]:
    lengths_B, groups_B = torch.full((len(places),), STEPS), torch.tensor(groups or list(range(len(places))))
    return augment_signals(pulses(places), lengths_B, torch.tensor(places)[:, None], groups_B, config)


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 999), places=st.lists(st.floats(40, 80), min_size=1, max_size=4))
def test_a_keypoint_goes_where_its_pulse_goes(seed: int, places: list[float]) -> None:
    torch.manual_seed(seed)
    signals_BCT, keypoints_BK = varied(SignalAugmentation(stretch=0.1, warp=0.1, shift=15), places)
    tops_B = signals_BCT[:, 0].argmax(1)
    found = ~keypoints_BK[:, 0].isnan()
    assert found.all()
    assert (keypoints_BK[:, 0] - tops_B)[found].abs().max() <= 1.5


def test_what_leaves_the_signal_is_no_longer_known_and_what_was_unknown_stays_so() -> None:
    torch.manual_seed(0)
    places = torch.tensor([[1.0, math.nan, 60.0]]).repeat(50, 1)
    lengths_B, groups_B = torch.full((50,), STEPS), torch.arange(50)
    _, moved_BK = augment_signals(torch.zeros(50, 1, STEPS), lengths_B, places, groups_B, SignalAugmentation(shift=20))
    assert 5 < int(moved_BK[:, 0].isnan().sum()) < 45
    assert moved_BK[:, 1].isnan().all() and not moved_BK[:, 2].isnan().any()
    known = moved_BK[~moved_BK.isnan()]
    assert known.min() >= 0 and known.max() <= STEPS - 1


def test_padding_is_not_moved_into_a_signal() -> None:
    torch.manual_seed(0)
    signals_BCT = torch.ones(20, 1, STEPS)
    signals_BCT[:, :, 50:] = 99.0
    moved_BCT, _ = augment_signals(
        signals_BCT, torch.full((20,), 50), torch.full((20, 1), 25.0), torch.arange(20), SignalAugmentation(shift=20)
    )
    assert (moved_BCT == 1).all()


def test_without_a_setting_nothing_changes() -> None:
    signals_BCT, keypoints_BK = varied(SignalAugmentation(), [40.0, 70.5])
    assert torch.equal(signals_BCT, pulses([40.0, 70.5]))
    assert keypoints_BK[:, 0].tolist() == [40.0, 70.5]


@pytest.mark.parametrize("name", ["stretch", "mixing", "flip", "swap"])
def test_what_belongs_to_an_element_is_drawn_once_for_it(name: str) -> None:
    torch.manual_seed(1)
    config = SignalAugmentation(**{name: 0.5})  # pyright: ignore[reportArgumentType]
    signals_BCT, _ = varied(config, [60.0] * 12, [0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5])
    assert torch.equal(signals_BCT[::2], signals_BCT[1::2])
    assert len({tuple(s.flatten().tolist()) for s in signals_BCT[::2]}) > 1


@pytest.mark.parametrize("name", ["warp", "scale", "modulation", "silence", "wander", "noise"])
def test_what_belongs_to_a_signal_is_drawn_for_each(name: str) -> None:
    torch.manual_seed(1)
    signals_BCT, _ = varied(SignalAugmentation(**{name: 0.5}), [60.0] * 6, [0] * 6)  # pyright: ignore[reportArgumentType]
    assert len({tuple(s.flatten().tolist()) for s in signals_BCT}) > 1


def test_one_channel_at_the_most_is_silent() -> None:
    torch.manual_seed(0)
    signals_BCT, _ = varied(SignalAugmentation(silence=1.0), [60.0] * 20)
    assert ((signals_BCT == 0).all(2).sum(1) == 1).all()
    alone_BCT, _ = augment_signals(
        pulses([60.0])[:, :1],
        torch.tensor([STEPS]),
        torch.zeros(1, 0),
        torch.tensor([0]),
        SignalAugmentation(silence=1.0),
    )
    assert alone_BCT.abs().sum() > 0
