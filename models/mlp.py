"""A multi-layer perceptron's trunk. Shapes: B samples, C features, H hidden units."""

from itertools import pairwise

from torch import Tensor, nn

from models.config import MlpConfig


class Mlp(nn.Module):
    """Linear layers with ReLU and dropout: (B, C) → (B, H).

    `first` is the layer that reads the normalised inputs, `width` the number of units that the heads read.
    """

    def __init__(self, config: MlpConfig, features: int) -> None:
        super().__init__()
        sizes = [features, *config.hidden_units]
        self.linears = nn.ModuleList([nn.Linear(a, b) for a, b in pairwise(sizes)])
        self.dropout = nn.Dropout(config.dropout)
        self.width = sizes[-1]

    @property
    def first(self) -> nn.Module:
        return self.linears[0]

    def forward(self, hidden_BH: Tensor) -> Tensor:
        for linear in self.linears:
            hidden_BH = self.dropout(linear(hidden_BH).relu())
        return hidden_BH
