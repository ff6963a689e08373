"""A multi-layer perceptron's trunk. Shapes: B samples, L window length, C features, H hidden units."""

from torch import Tensor, nn

from models.config import MlpConfig
from models.layers import Dense, InputLayer


class Mlp(nn.Module):
    """(B, C) → (B, H), or (B, L, C) → (B, H): the mean over the window of what each row gives."""

    def __init__(self, config: MlpConfig, features: int) -> None:
        super().__init__()
        self.dense = Dense(features, config.hidden_units, config.dropout)
        self.width = self.dense.width

    @property
    def input_layers(self) -> list[InputLayer]:
        first = self.dense.linears[0]
        assert isinstance(first, nn.Linear)
        return [(first.weight, first.bias)]

    def forward(self, inputs: Tensor) -> Tensor:
        hidden = self.dense(inputs)
        return hidden if hidden.dim() == 2 else hidden.mean(1)
