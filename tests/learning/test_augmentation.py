import pytest
import torch

from learning.augmentation import AugmentationConfig, ChannelDropout, Mixup, Noise, Scaling, TimeShift, augment

ALL: list[AugmentationConfig] = [Noise(), TimeShift(), Scaling(), ChannelDropout(), Mixup()]
SHAPES = [(64, 3), (64, 10, 3)]


def inputs_of(shape: tuple[int, ...]) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("augmentation", ALL, ids=lambda a: a.kind)
def test_it_is_seeded_keeps_the_shape_and_leaves_the_inputs(
    augmentation: AugmentationConfig, shape: tuple[int, ...]
) -> None:
    inputs = inputs_of(shape)
    results: list[torch.Tensor] = []
    for _ in range(2):
        torch.manual_seed(3)
        results.append(augment(inputs, [augmentation])[0])
    assert torch.equal(*results)
    assert results[0].shape == inputs.shape
    assert torch.equal(inputs, inputs_of(shape))
    same = augmentation.kind == "time_shift" and len(shape) == 2
    assert torch.equal(results[0], inputs) == same


def test_noise_has_its_deviation() -> None:
    torch.manual_seed(0)
    zeros = torch.zeros(20_000, 2)
    assert augment(zeros, [Noise(deviations=0.3)])[0].std().item() == pytest.approx(0.3, rel=0.02)


def test_a_channel_is_scaled_and_silenced_as_a_whole() -> None:
    torch.manual_seed(0)
    ones = torch.ones(5_000, 4, 3)
    scaled = augment(ones, [Scaling(deviations=0.2)])[0]
    assert torch.equal(scaled, scaled[:, :1].expand_as(scaled))
    assert scaled[:, 0].std().item() == pytest.approx(0.2, rel=0.05)
    dropped = augment(ones, [ChannelDropout(share=0.25)])[0]
    assert torch.equal(dropped, dropped[:, :1].expand_as(dropped))
    assert (dropped[:, 0] == 0).float().mean().item() == pytest.approx(0.25, abs=0.02)


def test_a_shifted_window_repeats_its_edge() -> None:
    torch.manual_seed(0)
    ramp = torch.arange(6.0).repeat(200, 1)[:, :, None]
    shifted = augment(ramp, [TimeShift(most_steps=2)])[0][:, :, 0]
    expected = {tuple((torch.arange(6) + s).clamp(0, 5).tolist()) for s in range(-2, 3)}
    assert {tuple(row) for row in shifted.tolist()} == expected


def test_mixup_says_what_it_mixed() -> None:
    torch.manual_seed(0)
    inputs = inputs_of((8, 3))
    mixed, mix = augment(inputs, [Mixup(alpha=1.0)])
    assert mix is not None
    assert 0 < mix.share < 1
    assert torch.allclose(mixed, mix.share * inputs + (1 - mix.share) * inputs[mix.order_B])
