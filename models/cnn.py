"""A convolutional trunk. Shapes: B samples, L window length, C features, H units."""

from torch import Tensor, cat, nn

from models.config import CnnConfig
from models.layers import Convolutions, Dense, InputLayer, as_windows


class Cnn(nn.Module):
    """(B, L, C) or (B, C) → (B, H): convolution blocks, mean and maximum over time, dense layers."""

    def __init__(self, config: CnnConfig, features: int) -> None:
        super().__init__()
        self.convolutions = Convolutions(features, config.channels, config.kernel_size)
        self.dense = Dense(2 * config.channels[-1], config.hidden_units, config.dropout)
        self.width = self.dense.width

    @property
    def input_layers(self) -> list[InputLayer]:
        return self.convolutions.input_layers

    def forward(self, inputs: Tensor) -> Tensor:
        signals_BHL = self.convolutions(as_windows(inputs))
        return self.dense(cat([signals_BHL.mean(2), signals_BHL.amax(2)], dim=1))
