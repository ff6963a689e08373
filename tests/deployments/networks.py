"""Small networks with the interface of the served one."""

import torch
from torch import Tensor, nn


class Normaliser(nn.Module):
    mean_C: Tensor
    std_C: Tensor

    def __init__(self, mean_C: Tensor, std_C: Tensor) -> None:
        super().__init__()
        self.register_buffer("mean_C", mean_C)
        self.register_buffer("std_C", std_C)

    def forward(self, readings: Tensor) -> Tensor:
        known = torch.where(readings.isnan(), self.mean_C, readings)
        return ((known - self.mean_C) / self.std_C).clamp(-8, 8)


class RowNetwork(nn.Module):
    """(B, C) → class probabilities (B, K)."""

    def __init__(self, features: int = 5, classes: int = 3) -> None:
        super().__init__()
        self.normaliser = Normaliser(torch.full((features,), 900.0), torch.full((features,), 4.0))
        self.trunk = nn.Sequential(nn.Linear(features, 16), nn.ReLU(), nn.Dropout(0.5))
        self.head = nn.Linear(16, classes)

    def forward(self, rows_BC: Tensor) -> Tensor:
        return self.head(self.trunk(self.normaliser(rows_BC))).softmax(1)


class WindowNetwork(nn.Module):
    """(B, L, C) → values (B,), through convolution, LSTM and attention."""

    def __init__(self, features: int = 3) -> None:
        super().__init__()
        self.normaliser = Normaliser(torch.zeros(features), torch.ones(features))
        self.convolution = nn.Conv1d(features, 8, 3, padding="same", padding_mode="replicate")
        self.lstm = nn.LSTM(8, 8, batch_first=True)
        self.attention = nn.Linear(8, 1)
        self.head = nn.Linear(8, 1)

    def forward(self, windows_BLC: Tensor) -> Tensor:
        signals_BCL = self.convolution(self.normaliser(windows_BLC).transpose(1, 2)).relu()
        states_BLH, _ = self.lstm(signals_BCL.transpose(1, 2))
        pooled_BH = (self.attention(states_BLH).softmax(1) * states_BLH).sum(1)
        return (self.head(pooled_BH) * 50 + 3000).squeeze(1)


class FixedLengthNetwork(WindowNetwork):
    """Averages over the length it was traced with: wrong at every other."""

    def forward(self, windows_BLC: Tensor) -> Tensor:
        known_BLC = self.normaliser(windows_BLC)
        return known_BLC.sum((1, 2)) / float(windows_BLC.shape[1])
