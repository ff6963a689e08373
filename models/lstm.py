"""An LSTM's trunk. Shapes: B samples, L window length, C features, H units."""

from torch import nn

from models.config import LstmConfig
from models.layers import Recurrent, recurrent_layers


class Lstm(Recurrent):
    """(B, L, C) or (B, C) → (B, H): the last state of an LSTM, then dense layers."""

    def __init__(self, config: LstmConfig, features: int) -> None:
        super().__init__(recurrent_layers(nn.LSTM, config, features), config)
