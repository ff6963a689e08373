"""What several networks are built from.

Shapes: B samples, L window length, C features, H units.
"""

from itertools import pairwise
from typing import TypeVar

from torch import Tensor, cat, nn

from models.config import RecurrentConfig

Kind = TypeVar("Kind", nn.LSTM, nn.GRU)

InputLayer = tuple[Tensor, Tensor]
"""Weight (H, C) or (H, C, k), and bias (H,), of a layer that reads the normalised inputs."""


def as_windows(inputs: Tensor) -> Tensor:
    """(B, C) or (B, L, C) → (B, L, C): a row is a window of length one."""
    return inputs if inputs.dim() == 3 else inputs[:, None]


class Dense(nn.Module):
    """Linear layers with ReLU and dropout: (…, C) → (…, H)."""

    def __init__(self, inputs: int, hidden_units: list[int], dropout: float) -> None:
        super().__init__()
        self.linears = nn.ModuleList([nn.Linear(a, b) for a, b in pairwise([inputs, *hidden_units])])
        self.dropout = nn.Dropout(dropout)
        self.width = hidden_units[-1]

    def forward(self, hidden: Tensor) -> Tensor:
        for linear in self.linears:
            hidden = self.dropout(linear(hidden).relu())
        return hidden


class Convolutions(nn.Module):
    """Blocks of convolution, batch norm and ReLU: (B, L, C) → (B, H, L).

    They pad with the edge's own values, so that a change of the normaliser folds into the first one exactly, at the
    edges too.
    """

    def __init__(self, features: int, channels: list[int], kernel_size: int) -> None:
        super().__init__()
        pairs = list(pairwise([features, *channels]))
        self.convolutions = nn.ModuleList(
            [nn.Conv1d(a, b, kernel_size, padding="same", padding_mode="replicate") for a, b in pairs]
        )
        self.norms = nn.ModuleList([nn.BatchNorm1d(b) for _, b in pairs])

    @property
    def input_layers(self) -> list[InputLayer]:
        first = self.convolutions[0]
        assert isinstance(first, nn.Conv1d) and first.bias is not None
        return [(first.weight, first.bias)]

    def forward(self, windows_BLC: Tensor) -> Tensor:
        signals_BHL = windows_BLC.transpose(1, 2)
        for convolution, norm in zip(self.convolutions, self.norms, strict=True):
            signals_BHL = norm(convolution(signals_BHL)).relu()
        return signals_BHL


class Recurrent(nn.Module):
    """The last state of an LSTM or a GRU over a window, then dense layers: (B, L, C) or (B, C) → (B, H)."""

    def __init__(self, recurrent: nn.LSTM | nn.GRU, config: RecurrentConfig) -> None:
        super().__init__()
        self.recurrent = recurrent
        self.dense = Dense(config.units * (1 + config.bidirectional), config.hidden_units, config.dropout)
        self.width = self.dense.width

    @property
    def input_layers(self) -> list[InputLayer]:
        return recurrent_input_layers(self.recurrent)

    def forward(self, inputs: Tensor) -> Tensor:
        states_BLH, _ = self.recurrent(as_windows(inputs))
        return self.dense(last_state(states_BLH, self.recurrent.bidirectional))


def recurrent_layers(kind: type[Kind], config: RecurrentConfig, inputs: int) -> Kind:
    """LSTM or GRU layers over (B, L, inputs), with dropout between them."""
    dropout = config.dropout if config.layers > 1 else 0.0
    return kind(
        inputs, config.units, config.layers, batch_first=True, dropout=dropout, bidirectional=config.bidirectional
    )


def recurrent_input_layers(recurrent: nn.LSTM | nn.GRU) -> list[InputLayer]:
    """The parameters of the first layer that read its inputs, one pair for each direction."""
    suffixes = ["_l0", "_l0_reverse"] if recurrent.bidirectional else ["_l0"]
    return [(getattr(recurrent, f"weight_ih{s}"), getattr(recurrent, f"bias_ih{s}")) for s in suffixes]


def last_state(states_BLH: Tensor, bidirectional: bool) -> Tensor:
    """Where each direction ends: the last step, and for the backward half of the units the first."""
    if not bidirectional:
        return states_BLH[:, -1]
    forward_BLH, backward_BLH = states_BLH.chunk(2, dim=2)
    return cat([forward_BLH[:, -1], backward_BLH[:, 0]], dim=1)
