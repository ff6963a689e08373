"""The hybrid trunk: convolutions, an LSTM and attention pooling over a window.

Shapes: B samples, L window length, C features, H units.
"""

from torch import Tensor, nn

from models.config import CnnLstmConfig
from models.layers import Convolutions, Dense, InputLayer, as_windows, recurrent_layers


class CnnLstm(nn.Module):
    """(B, L, C) or (B, C) → (B, H), for any B and L."""

    def __init__(self, config: CnnLstmConfig, features: int) -> None:
        super().__init__()
        self.convolutions = Convolutions(features, config.channels, config.kernel_size)
        self.lstm = recurrent_layers(nn.LSTM, config, config.channels[-1])
        states = config.units * (1 + config.bidirectional)
        self.attention = nn.Linear(states, 1)
        self.dropout = nn.Dropout(config.dropout)
        self.dense = Dense(states, config.hidden_units, config.dropout)
        self.width = self.dense.width

    @property
    def input_layers(self) -> list[InputLayer]:
        return self.convolutions.input_layers

    def forward(self, inputs: Tensor) -> Tensor:
        signals_BHL = self.convolutions(as_windows(inputs))
        states_BLH, _ = self.lstm(self.dropout(signals_BHL.transpose(1, 2)))
        attention_BL1 = self.attention(states_BLH).softmax(1)
        return self.dense(self.dropout((attention_BL1 * states_BLH).sum(1)))
