"""An LSTM's trunk. Shapes: B samples, L window length, C features, H units."""

from torch import Tensor, nn

from models.config import LstmConfig
from models.layers import Dense, InputLayer, as_windows, last_state, recurrent_input_layers


class Lstm(nn.Module):
    """(B, L, C) or (B, C) → (B, H): the last state of an LSTM, then dense layers."""

    def __init__(self, config: LstmConfig, features: int) -> None:
        super().__init__()
        self.lstm = nn.LSTM(
            features,
            config.units,
            config.layers,
            batch_first=True,
            dropout=config.dropout if config.layers > 1 else 0.0,
            bidirectional=config.bidirectional,
        )
        self.dense = Dense(config.units * (1 + config.bidirectional), config.hidden_units, config.dropout)
        self.width = self.dense.width

    @property
    def input_layers(self) -> list[InputLayer]:
        return recurrent_input_layers(self.lstm)

    def forward(self, inputs: Tensor) -> Tensor:
        states_BLH, _ = self.lstm(as_windows(inputs))
        return self.dense(last_state(states_BLH, self.lstm.bidirectional))
