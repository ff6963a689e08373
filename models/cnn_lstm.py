"""Convolutions, an LSTM and attention pooling over a window.

Shapes: B samples, L window length, C features, H LSTM units.
"""

from itertools import pairwise

from torch import Tensor, nn

from models.config import CnnLstmConfig


class CnnLstm(nn.Module):
    """(B, L, C) → (B, H), for any B and L.

    The convolutions pad with the edge's own values, so that a change of the normaliser folds into the first one
    exactly, at the edges too. `first` reads the normalised inputs; `width` is what the heads read.
    """

    def __init__(self, config: CnnLstmConfig, features: int) -> None:
        super().__init__()
        sizes = [features, *config.channels]
        self.convolutions = nn.ModuleList(
            [nn.Conv1d(a, b, config.kernel_size, padding="same", padding_mode="replicate") for a, b in pairwise(sizes)]
        )
        self.lstm = nn.LSTM(sizes[-1], config.lstm_units, batch_first=True)
        self.attention = nn.Linear(config.lstm_units, 1)
        self.dropout = nn.Dropout(config.dropout)
        self.width = config.lstm_units

    @property
    def first(self) -> nn.Module:
        return self.convolutions[0]

    def forward(self, windows_BLC: Tensor) -> Tensor:
        signals_BCL = windows_BLC.transpose(1, 2)
        for convolution in self.convolutions:
            signals_BCL = convolution(signals_BCL).relu()
        states_BLH, _ = self.lstm(self.dropout(signals_BCL.transpose(1, 2)))
        attention_BL1 = self.attention(states_BLH).softmax(1)
        return self.dropout((attention_BL1 * states_BLH).sum(1))
