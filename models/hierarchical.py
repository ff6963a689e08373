"""A network for signals that come grouped (element → session → signal): an embedding and the times of keypoints.

Shapes: B signals, C channels, T samples of the longest signal, L steps of the keypoint head, K keypoints, H units,
E numbers of an embedding.
"""

import warnings
from collections.abc import Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.config import HierarchicalConfig
from models.masked import (
    AttentionPool,
    BidirectionalGru,
    LastState,
    PlainBlock,
    Pool,
    ResidualBlock,
    UpBlock,
    halved,
    standardised,
    valid_steps,
)
from models.network import Normaliser
from models.ordered import LEAST, never_back, ordered_chances

BEHIND = -1e9
"""The logit of a step behind a signal's end: finite, so that it may stand in a product with zero."""


class Representation(NamedTuple):
    """What the network says of B signals.

    embeddings_BE: of length one. keypoint_logits_BLK: over time, −1e9 behind a signal. offsets_BLK: where a keypoint
    lies if it is in that step, in steps from the step's middle.
    """

    embeddings_BE: Tensor
    keypoint_logits_BLK: Tensor
    offsets_BLK: Tensor


class _Seen(NamedTuple):
    """What a block saw before it was pooled, and which of its steps lie within the signals (None: all)."""

    hidden_BHT: Tensor
    valid_BT: Tensor | None


class HierarchicalSignalNet(nn.Module):
    """Convolution blocks and a bidirectional GRU under an embedding head and a keypoint head.

    keypoints: their names, or how many; there may be none. One step of their head spans `stride` samples. options:
    fields of the configuration, where none is given: `HierarchicalSignalNet(2, ("onset", "peak"), embedding_dim=128)`.
    Raises ValueError for no channel, fewer than no keypoints, a name that comes twice, and options beside a
    configuration.
    """

    def __init__(
        self,
        in_channels: int,
        keypoints: Sequence[str] | int = (),
        config: HierarchicalConfig | None = None,
        **options: Any,
    ) -> None:
        super().__init__()
        if config is not None and options:
            raise ValueError(f"a configuration is given, so {', '.join(options)} must stand in it")
        self.config = config or HierarchicalConfig(**options)
        self.in_channels, self.keypoints = in_channels, _names(keypoints)
        if in_channels < 1:
            raise ValueError(f"a signal has one channel or more, not {in_channels}")
        channels, kernel_size = self.config.channels, self.config.kernel_size
        block = ResidualBlock if self.config.blocks == "residual" else PlainBlock
        self.normaliser = Normaliser(in_channels)
        self.blocks = nn.ModuleList([block(a, b, kernel_size) for a, b in pairwise([in_channels, *channels])])
        self.shrink = Pool()
        self.dropout = nn.Dropout(self.config.dropout)
        self.gru = BidirectionalGru(channels[-1], self.config.hidden_units)
        states = 2 * self.config.hidden_units
        self.pool = AttentionPool(states) if self.config.pool == "attention" else LastState()
        self.embedding = nn.Linear(states, self.config.embedding_dim)
        ups = pairwise([states, *reversed(channels)]) if self.config.decoder == "unet" else ()
        self.ups = nn.ModuleList([UpBlock(above, skipped, skipped, kernel_size) for above, skipped in ups])
        read = channels[0] if self.config.decoder == "unet" else states
        self.keypoint_head, self.offset_head = _head(read, len(self.keypoints)), _head(read, len(self.keypoints))

    @property
    def stride(self) -> int:
        """Samples between two steps of the keypoint head."""
        return 1 if self.config.decoder == "unet" else 2 ** len(self.config.channels)

    def forward(self, signals_BCT: Tensor, lengths_B: Tensor | None = None) -> Representation:
        """Raw signals, padded behind their lengths (int64; None: all are whole), NaN where a reading is missing.

        Raises ValueError for another number of channels, and for lengths that do not lie within the signals.
        """
        if not torch.jit.is_tracing():
            _check_given(signals_BCT, lengths_B, self.in_channels)
        padded = lengths_B is not None
        lengths_B = lengths_B if lengths_B is not None else _whole(signals_BCT)
        hidden = self.normaliser(signals_BCT.transpose(1, 2)).transpose(1, 2)
        if padded:
            hidden = hidden.masked_fill(~valid_steps(lengths_B, hidden.shape[2])[:, None], 0.0)
        if self.config.scaling == "signal":
            hidden = standardised(hidden, lengths_B)
        seen: list[_Seen] = []
        coarse_B = lengths_B
        for block in self.blocks:
            valid_BT = valid_steps(coarse_B, hidden.shape[2]) if padded else None
            seen.append(_Seen(block(hidden, valid_BT), valid_BT))
            hidden, coarse_B = self.shrink(seen[-1].hidden_BHT), halved(coarse_B)
        states_BTH, last_BH = self.gru(self.dropout(hidden).transpose(1, 2), coarse_B)
        valid_BT = valid_steps(coarse_B, states_BTH.shape[1])
        pooled_BH = self.pool(states_BTH, last_BH, valid_BT)
        embeddings_BE = functional.normalize(self.embedding(self.dropout(pooled_BH)))
        read_BLH = self._decode(states_BTH * valid_BT[:, :, None], seen) if len(self.ups) else states_BTH
        logits_BLK = self.keypoint_head(self.dropout(read_BLH))
        if padded:
            steps_B = lengths_B if len(self.ups) else coarse_B
            logits_BLK = logits_BLK.masked_fill(~valid_steps(steps_B, logits_BLK.shape[1])[:, :, None], BEHIND)
        return Representation(embeddings_BE, logits_BLK, self.offset_head(read_BLH))

    def positions(self, representation: Representation) -> Tensor:
        """Where each keypoint lies, in samples: (B, K)."""
        return positions(
            representation.keypoint_logits_BLK, representation.offsets_BLK, self.stride, self.config.decoding
        )

    def _decode(self, states_BTH: Tensor, seen: list[_Seen]) -> Tensor:
        hidden = states_BTH.transpose(1, 2)
        for up, (seen_BHT, valid_BT) in zip(self.ups, reversed(seen), strict=True):
            hidden = up(hidden, seen_BHT, valid_BT)
        return hidden.transpose(1, 2)


def positions(logits_BLK: Tensor, offsets_BLK: Tensor, stride: int, decoding: str = "argmax") -> Tensor:
    """Where each keypoint lies, in samples from the signal's first: (B, K).

    argmax: the middle of the likeliest step, moved by its offset. median: where the distribution over time reaches one
    half, linear within a step and moved by the offset there: the point with the least expected absolute error. ordered:
    the median once it is known that keypoints follow one another as they are listed; none lies before another.
    """
    if decoding == "argmax":
        step_B1K = logits_BLK.argmax(1, keepdim=True)
        share_B1K = torch.zeros_like(step_B1K, dtype=logits_BLK.dtype)
    else:
        chances_BLK = logits_BLK.softmax(1).double()  # a sum over many steps in float32 moves the place by some 1e-4
        if decoding == "ordered" and logits_BLK.shape[2]:
            chances_BLK = ordered_chances(chances_BLK + LEAST * (logits_BLK > BEHIND))
        reached_BLK = chances_BLK.cumsum(1)
        step_B1K = (reached_BLK < 0.5).sum(1, keepdim=True).clamp(max=logits_BLK.shape[1] - 1)
        chance_B1K = chances_BLK.gather(1, step_B1K).clamp_min(1e-9)
        share_B1K = ((0.5 - reached_BLK.gather(1, step_B1K)) / chance_B1K + 0.5).to(logits_BLK.dtype)
    middle_B1K = step_B1K * stride + (stride - 1) / 2
    places_BK = (middle_B1K + (share_B1K + offsets_BLK.gather(1, step_B1K)) * stride)[:, 0]
    return places_BK if decoding != "ordered" else never_back(places_BK)


def _head(inputs: int, outputs: int) -> nn.Linear:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Initializing zero-element tensors")  # there may be no keypoints
        return nn.Linear(inputs, outputs)


def _whole(signals_BCT: Tensor) -> Tensor:
    return torch.full((signals_BCT.shape[0],), signals_BCT.shape[2], dtype=torch.int64, device=signals_BCT.device)


def _check_given(signals_BCT: Tensor, lengths_B: Tensor | None, channels: int) -> None:
    if signals_BCT.ndim != 3 or signals_BCT.shape[1] != channels or 0 in signals_BCT.shape:
        raise ValueError(f"the network takes (signals, {channels}, samples), got {tuple(signals_BCT.shape)}")
    count, _, longest = signals_BCT.shape
    if lengths_B is None:
        return
    if lengths_B.shape != (count,) or bool(((lengths_B < 1) | (lengths_B > longest)).any()):
        raise ValueError(
            f"{count} signals of at most {longest} samples need as many lengths from 1, got {lengths_B.tolist()}"
        )


def _names(keypoints: Sequence[str] | int) -> tuple[str, ...]:
    if isinstance(keypoints, int) and keypoints < 0:
        raise ValueError(f"a network finds no keypoint or more, not {keypoints}")
    names = tuple(map(str, range(keypoints))) if isinstance(keypoints, int) else tuple(keypoints)
    if len(set(names)) < len(names):
        raise ValueError(f"every keypoint has a name of its own, given were {', '.join(names)}")
    return names
