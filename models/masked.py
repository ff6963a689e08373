"""Layers that do not see the padding behind a signal, so that a padded batch gives what each signal gives alone.

Shapes: B signals, C channels, H units, T time steps. Behind a signal's length the layers expect and leave zeros.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

LEAST_DEVIATION = 0.05
"""Of a signal, in deviations of its channel."""


def valid_steps(lengths_B: Tensor, steps: int) -> Tensor:
    """(B, T), true within each signal's length."""
    return torch.arange(steps, device=lengths_B.device)[None] < lengths_B[:, None]


def halved(lengths_B: Tensor) -> Tensor:
    """The lengths after `Pool`: an odd last step stays."""
    return (lengths_B + 1) // 2


def standardised(signals_BCT: Tensor, lengths_B: Tensor) -> Tensor:
    """Each signal's channels with mean 0 and deviation 1 over its valid steps, which alone are not 0: (B, C, T).

    A channel that hardly moves stays small: its deviation counts as `LEAST_DEVIATION` at least.
    """
    valid_B1T, lengths_B11 = valid_steps(lengths_B, signals_BCT.shape[2])[:, None], lengths_B[:, None, None]
    centred_BCT = (signals_BCT - signals_BCT.sum(2, keepdim=True) / lengths_B11) * valid_B1T
    variance_BC1 = centred_BCT.square().sum(2, keepdim=True) / lengths_B11
    return centred_BCT / variance_BC1.clamp_min(LEAST_DEVIATION**2).sqrt()


class MaskedNorm(nn.BatchNorm1d):
    """Batch norm (Ioffe & Szegedy 2015) whose statistics are those of the valid steps alone: (B, C, T) → (B, C, T)."""

    def forward(self, input: Tensor, valid_BT: Tensor | None = None) -> Tensor:  # torch names it `input`
        if not self.training or valid_BT is None:
            return super().forward(input)
        normal = super().forward(input.transpose(1, 2)[valid_BT])
        return torch.zeros_like(input.transpose(1, 2)).masked_scatter(valid_BT[:, :, None], normal).transpose(1, 2)


class ConvNorm(nn.Module):
    """A convolution and masked batch norm: (B, C, T) → (B, H, T), zero behind each signal."""

    def __init__(self, inputs: int, outputs: int, kernel_size: int) -> None:
        super().__init__()
        self.convolution = nn.Conv1d(inputs, outputs, kernel_size, padding="same", bias=False)
        self.norm = MaskedNorm(outputs)

    def forward(self, signals_BCT: Tensor, valid_BT: Tensor | None) -> Tensor:
        normal_BHT = self.norm(self.convolution(signals_BCT), valid_BT)
        return normal_BHT if valid_BT is None else normal_BHT * valid_BT[:, None]


class PlainBlock(nn.Module):
    """Convolution, batch norm, ReLU: (B, C, T) → (B, H, T)."""

    def __init__(self, inputs: int, outputs: int, kernel_size: int) -> None:
        super().__init__()
        self.layer = ConvNorm(inputs, outputs, kernel_size)

    def forward(self, signals_BCT: Tensor, valid_BT: Tensor | None) -> Tensor:
        return self.layer(signals_BCT, valid_BT).relu()


class ResidualBlock(nn.Module):
    """Two convolutions around which the input passes by (He et al. 2016): (B, C, T) → (B, H, T)."""

    def __init__(self, inputs: int, outputs: int, kernel_size: int) -> None:
        super().__init__()
        self.first = ConvNorm(inputs, outputs, kernel_size)
        self.second = ConvNorm(outputs, outputs, kernel_size)
        self.passing = nn.Conv1d(inputs, outputs, 1, bias=False)

    def forward(self, signals_BCT: Tensor, valid_BT: Tensor | None) -> Tensor:
        inner_BHT = self.second(self.first(signals_BCT, valid_BT).relu(), valid_BT)
        return (inner_BHT + self.passing(signals_BCT)).relu()


class Pool(nn.MaxPool1d):
    """The larger of every two steps: (B, H, T) → (B, H, ⌈T/2⌉), right behind a ReLU, where padding is the least."""

    def __init__(self) -> None:
        super().__init__(2, ceil_mode=True)


class BidirectionalGru(nn.Module):
    """Two GRUs of which one reads each signal from its own end: (B, T, C) → states (B, T, 2H), last states (B, 2H).

    Equal to a bidirectional GRU over packed sequences, which do not export to ONNX.
    """

    def __init__(self, inputs: int, units: int) -> None:
        super().__init__()
        self.forwards = nn.GRU(inputs, units, batch_first=True)
        self.backwards = nn.GRU(inputs, units, batch_first=True)

    def forward(self, signals_BTC: Tensor, lengths_B: Tensor) -> tuple[Tensor, Tensor]:
        order_BT1 = _flipped(lengths_B, signals_BTC.shape[1])[:, :, None]
        ahead_BTH, _ = self.forwards(signals_BTC)
        flipped_BTC = signals_BTC.gather(1, order_BT1.expand(-1, -1, signals_BTC.shape[2]))
        back_BTH, _ = self.backwards(flipped_BTC)
        last_B11 = (lengths_B - 1)[:, None, None].expand(-1, 1, ahead_BTH.shape[2])
        last_BH = torch.cat([ahead_BTH.gather(1, last_B11), back_BTH.gather(1, last_B11)], dim=2)[:, 0]
        unflipped_BTH = back_BTH.gather(1, order_BT1.expand(-1, -1, back_BTH.shape[2]))
        return torch.cat([ahead_BTH, unflipped_BTH], dim=2), last_BH


class LastState(nn.Module):
    """The states in which both directions end: (B, T, H), (B, H) → (B, H)."""

    def forward(self, states_BTH: Tensor, last_BH: Tensor, valid_BT: Tensor) -> Tensor:
        return last_BH


class AttentionPool(nn.Module):
    """A mean over each signal's steps whose weights are learned: (B, T, H) → (B, H)."""

    def __init__(self, units: int) -> None:
        super().__init__()
        self.score = nn.Linear(units, 1)

    def forward(self, states_BTH: Tensor, last_BH: Tensor, valid_BT: Tensor) -> Tensor:
        scores_BT = self.score(states_BTH)[:, :, 0].masked_fill(~valid_BT, -torch.inf)
        return (scores_BT.softmax(1)[:, :, None] * states_BTH).sum(1)


class UpBlock(nn.Module):
    """Doubles the time axis and joins what a block saw there (Ronneberger et al. 2015): (B, C, ⌈T/2⌉) → (B, H, T)."""

    def __init__(self, inputs: int, skipped: int, outputs: int, kernel_size: int) -> None:
        super().__init__()
        self.layer = ConvNorm(inputs + skipped, outputs, kernel_size)

    def forward(self, coarse_BCT: Tensor, skipped_BHT: Tensor, valid_BT: Tensor | None) -> Tensor:
        fine_BCT = functional.interpolate(coarse_BCT, scale_factor=2.0)[:, :, : skipped_BHT.shape[2]]
        if valid_BT is not None:
            fine_BCT = fine_BCT * valid_BT[:, None]
        return self.layer(torch.cat([fine_BCT, skipped_BHT], dim=1), valid_BT).relu()


def _flipped(lengths_B: Tensor, steps: int) -> Tensor:
    """(B, T): where each step comes from when every signal is reversed within its length; padding stays."""
    steps_1T, lengths_B1 = torch.arange(steps, device=lengths_B.device)[None], lengths_B[:, None]
    return torch.where(steps_1T < lengths_B1, lengths_B1 - 1 - steps_1T, steps_1T)
