"""A GRU's trunk. Shapes: B samples, L window length, C features, H units."""

from torch import nn

from models.config import GruConfig
from models.layers import Recurrent, recurrent_layers


class Gru(Recurrent):
    """(B, L, C) or (B, C) → (B, H): the last state of a GRU, then dense layers."""

    def __init__(self, config: GruConfig, features: int) -> None:
        super().__init__(recurrent_layers(nn.GRU, config, features), config)
