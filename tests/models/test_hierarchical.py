import warnings

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence

from models.config import HierarchicalConfig
from models.hierarchical import BEHIND, HierarchicalSignalNet, positions
from models.masked import BidirectionalGru, MaskedNorm, valid_steps

SMALL = {"channels": [5, 6], "hidden_units": 7, "embedding_dim": 8, "kernel_size": 5}
CONFIGS = [
    HierarchicalConfig(**SMALL, blocks=blocks, pool=pool, decoder=decoder, decoding=decoding)  # pyright: ignore
    for blocks in ("plain", "residual")
    for pool in ("last", "attention")
    for decoder, decoding in (("none", "argmax"), ("unet", "median"))
] + [HierarchicalConfig(**SMALL, scaling="signal", decoding="ordered")]  # pyright: ignore
every_variant = pytest.mark.parametrize("config", CONFIGS, ids=lambda c: f"{c.blocks}-{c.pool}-{c.decoder}-{c.scaling}")


def make(config: HierarchicalConfig, channels: int = 2) -> HierarchicalSignalNet:
    """A network whose batch norms have learned statistics: with fresh ones a mistake of the mask may not show."""
    torch.manual_seed(0)
    network = HierarchicalSignalNet(channels, ("onset", "peak", "end"), config)
    for _ in range(5):
        network(1 + 2 * torch.randn(8, channels, 40))
    return network.eval()


def padded(lengths: list[int], longest: int, filling: float) -> tuple[torch.Tensor, list[torch.Tensor]]:
    generator = torch.Generator().manual_seed(1)
    signals = [torch.randn(2, length, generator=generator) for length in lengths]
    batch_BCT = torch.full((len(lengths), 2, longest), filling)
    for i, signal in enumerate(signals):
        batch_BCT[i, :, : signal.shape[1]] = signal
    return batch_BCT, signals


@every_variant
@settings(deadline=None, max_examples=8)
@given(
    lengths=st.lists(st.integers(1, 50), min_size=1, max_size=6),
    more=st.integers(0, 9),
    filling=st.sampled_from([0.0, 7.5, float("nan")]),
)
def test_a_signal_alone_and_in_a_padded_batch_gives_the_same(
    config: HierarchicalConfig, lengths: list[int], more: int, filling: float
) -> None:
    network = make(config)
    batch_BCT, signals = padded(lengths, max(lengths) + more, filling)
    together = network(batch_BCT, torch.tensor(lengths))
    places_BK = network.positions(together)
    for i, signal in enumerate(signals):
        alone = network(signal[None])
        assert (alone.embeddings_BE[0] - together.embeddings_BE[i]).abs().max() <= 1e-6
        steps = alone.keypoint_logits_BLK.shape[1]
        assert torch.allclose(alone.keypoint_logits_BLK[0], together.keypoint_logits_BLK[i, :steps], atol=1e-5)
        assert (together.keypoint_logits_BLK[i, steps:] == BEHIND).all()
        assert torch.allclose(network.positions(alone)[0], places_BK[i], atol=1e-3)


@every_variant
def test_what_lies_behind_a_signal_changes_nothing_that_is_learned(config: HierarchicalConfig) -> None:
    gradients, lengths = [], torch.tensor([9, 31, 20])
    for longest, filling in ((31, 0.0), (40, -3.0)):
        network = make(config).train()
        network.dropout.p = 0.0
        batch_BCT, _ = padded(lengths.tolist(), longest, filling)
        seen = network(batch_BCT, lengths)
        (seen.embeddings_BE[:, 0].sum() + seen.keypoint_logits_BLK[:, 0].sum()).backward()
        gradients.append([p.grad for p in network.parameters() if p.grad is not None])
    for one, other in zip(*gradients, strict=True):
        assert torch.allclose(one, other, atol=1e-5)


@every_variant
def test_shapes_unit_length_and_gradients_of_every_weight(config: HierarchicalConfig) -> None:
    network = make(config).train()
    seen = network(torch.randn(6, 2, 30))
    steps = 30 if config.decoder == "unet" else 8
    assert seen.embeddings_BE.shape == (6, 8)
    assert seen.keypoint_logits_BLK.shape == seen.offsets_BLK.shape == (6, steps, 3)
    assert seen.embeddings_BE.norm(dim=1).tolist() == pytest.approx([1.0] * 6)
    (seen.embeddings_BE[:, 0].sum() + seen.keypoint_logits_BLK.square().sum() + seen.offsets_BLK.sum()).backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all(), name


def test_two_grus_give_what_one_over_packed_sequences_gives() -> None:
    torch.manual_seed(0)
    ours, lengths = BidirectionalGru(3, 4), torch.tensor([5, 9, 1])
    packed = nn.GRU(3, 4, batch_first=True, bidirectional=True)
    for name, weights in ours.forwards.named_parameters():
        packed.get_parameter(name).data.copy_(weights)
        packed.get_parameter(f"{name}_reverse").data.copy_(ours.backwards.get_parameter(name))
    signals_BTC = torch.randn(3, 9, 3)
    states_BTH, last_BH = ours(signals_BTC, lengths)
    expected, last_DBH = packed(pack_padded_sequence(signals_BTC, lengths, batch_first=True, enforce_sorted=False))
    expected_BTH, _ = nn.utils.rnn.pad_packed_sequence(expected, batch_first=True)
    assert torch.allclose(last_BH, torch.cat([last_DBH[0], last_DBH[1]], dim=1), atol=1e-6)
    valid_BT1 = valid_steps(lengths, 9)[:, :, None]
    assert torch.allclose(states_BTH * valid_BT1, expected_BTH, atol=1e-6)


def test_statistics_of_a_masked_norm_are_those_of_the_valid_steps() -> None:
    signals_BCT, lengths = torch.randn(3, 2, 6), torch.tensor([6, 2, 4])
    norm = MaskedNorm(2, momentum=1.0)
    norm(signals_BCT, valid_steps(lengths, 6))
    rows_NC = torch.cat([s[:, :n].T for s, n in zip(signals_BCT, lengths.tolist(), strict=True)])
    assert norm.running_mean is not None and norm.running_var is not None
    assert torch.allclose(norm.running_mean, rows_NC.mean(0), atol=1e-6)
    assert torch.allclose(norm.running_var, rows_NC.var(0), atol=1e-6)


@settings(deadline=None, max_examples=30)
@given(place=st.floats(0, 39), stride=st.sampled_from([1, 2, 4]))
def test_both_decodings_find_a_place_between_steps(place: float, stride: int) -> None:
    steps = torch.arange(40 // stride)
    middle_BL1 = (steps * stride + (stride - 1) / 2)[None, :, None]
    offsets_BLK = (place - middle_BL1) / stride
    logits_BLK = -10 * offsets_BLK.abs()
    assert float(positions(logits_BLK, offsets_BLK, stride, "argmax")) == pytest.approx(place, abs=1e-3)
    spread_BLK = -0.5 * ((place - middle_BL1) / (2 * stride)) ** 2
    if 6 * stride < place < 39 - 6 * stride:
        none_BLK = torch.zeros_like(spread_BLK)
        assert float(positions(spread_BLK, none_BLK, stride, "median")) == pytest.approx(place, abs=0.05 * stride)


def test_the_median_lies_between_two_guesses_by_their_weight() -> None:
    logits_BLK = torch.full((1, 9, 1), -50.0)
    logits_BLK[0, 2], logits_BLK[0, 6] = 0.0, -1.0
    assert 1.5 <= float(positions(logits_BLK, torch.zeros(1, 9, 1), 1, "median")) <= 2.5


def test_a_network_without_keypoints_only_embeds() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        network = HierarchicalSignalNet(1).eval()
    seen = network(torch.randn(2, 1, 21))
    assert seen.embeddings_BE.shape == (2, 64) and seen.keypoint_logits_BLK.shape == (2, 6, 0)
    assert network.positions(seen).shape == (2, 0)


def test_scaled_by_itself_a_signal_is_the_same_at_any_gain() -> None:
    network, signals = make(CONFIGS[-1]), torch.randn(2, 2, 24)
    louder = network(0.5 + 1.5 * signals).embeddings_BE  # not so loud that the normaliser clamps
    assert torch.allclose(network(signals).embeddings_BE, louder, atol=1e-5)
    assert network(torch.zeros(1, 2, 24)).embeddings_BE.isfinite().all()


def test_sizes_may_stand_in_the_call() -> None:
    network = HierarchicalSignalNet(1, 2, channels=[4], hidden_units=3, embedding_dim=128)
    assert network.config == HierarchicalConfig(channels=[4], hidden_units=3, embedding_dim=128)
    assert network(torch.randn(2, 1, 9)).embeddings_BE.shape == (2, 128)


def test_what_makes_no_network_is_refused() -> None:
    with pytest.raises(ValueError, match="one channel or more"):
        HierarchicalSignalNet(0, 3)
    with pytest.raises(ValueError, match="a name of its own, given were peak, peak"):
        HierarchicalSignalNet(1, ("peak", "peak"))
    with pytest.raises(ValueError, match="kernel_size is odd, not 4"):
        HierarchicalConfig(kernel_size=4)
    with pytest.raises(ValueError, match="no keypoint or more, not -1"):
        HierarchicalSignalNet(1, -1)
    with pytest.raises(ValueError, match="a configuration is given, so embedding_dim must stand in it"):
        HierarchicalSignalNet(1, 2, HierarchicalConfig(), embedding_dim=128)


@pytest.mark.parametrize(
    ("shape", "lengths", "said"),
    [
        ((2, 1, 24), None, r"takes \(signals, 2, samples\), got \(2, 1, 24\)"),
        ((2, 2, 0), None, r"got \(2, 2, 0\)"),
        ((2, 2, 24), [24, 0], "2 signals of at most 24 samples need as many lengths from 1, got .24, 0"),
        ((2, 2, 24), [25, 3], "got .25, 3"),
        ((2, 2, 24), [24], "got .24"),
    ],
)
def test_signals_that_a_network_does_not_take_are_refused(
    shape: tuple[int, ...], lengths: list[int] | None, said: str
) -> None:
    with pytest.raises(ValueError, match=said):
        make(CONFIGS[0])(torch.zeros(shape), None if lengths is None else torch.tensor(lengths))


def test_a_missing_reading_counts_as_the_mean() -> None:
    network = make(CONFIGS[0])
    signals = torch.randn(2, 2, 24)
    filled = signals.clone()
    signals[0, 1, 5:9], filled[0, 1, 5:9] = float("nan"), network.normaliser.mean_C[1]
    assert torch.equal(network(signals).embeddings_BE, network(filled).embeddings_BE)
