"""Signals that come grouped: measuring element → session → signal, each with the times of its key events.

Shapes: N signals, B signals of one batch, C channels, T samples of the longest signal.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol, TypedDict

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Floats = NDArray[np.float32]
Texts = NDArray[np.str_]


@dataclass(frozen=True)
class Signals:
    """Signals of one number of channels, each with its element, its session and its keypoints.

    values_NCT: float32, 0 past a signal's length. lengths_N: int64 samples.
    element_ids_N, session_ids_N: text; a session belongs to one element, whatever other elements call theirs.
    keypoints: by name the position of each signal's event, float32 samples from its start; NaN: not annotated.
    annotators_N: who annotated, "" where nobody says. weights_N: float32, how much each signal's keypoints count.
    batches_N: int64, the number of the batch that each signal came with.
    """

    values_NCT: Floats
    lengths_N: NDArray[np.int64]
    element_ids_N: Texts
    session_ids_N: Texts
    keypoints: Mapping[str, Floats]
    annotators_N: Texts
    weights_N: Floats
    batches_N: NDArray[np.int64]

    def __post_init__(self) -> None:
        if self.values_NCT.ndim != 3:
            raise ValueError(f"signals have the shape (N, channels, samples), got {self.values_NCT.shape}")
        columns = {name: getattr(self, name) for name in _COLUMNS} | {f"keypoints.{k}": v for k, v in self._events()}
        for name, column in columns.items():
            if column.shape != (len(self),):
                raise ValueError(f"{name} has the shape {column.shape}; {len(self)} signals need ({len(self)},)")

    def __len__(self) -> int:
        return len(self.values_NCT)

    @property
    def channels(self) -> int:
        """How many channels each signal has."""
        return self.values_NCT.shape[1]

    @property
    def elements_N(self) -> NDArray[np.int64]:
        """Each signal's element as a number from 0, in order of their names."""
        return _numbered(self.element_ids_N)

    @property
    def sessions_N(self) -> NDArray[np.int64]:
        """Each signal's session as a number from 0; the same name under two elements is two sessions."""
        within_N = _numbered(self.session_ids_N)
        return _numbered(self.elements_N * (len(self) + 1) + within_N)

    def take(self, index_N: NDArray[Any]) -> "Signals":
        """The signals at these places, or where a mask of all is true."""
        columns = {name: getattr(self, name)[index_N] for name in _COLUMNS}
        keypoints = {name: positions_N[index_N] for name, positions_N in self._events()}
        return replace(self, values_NCT=self.values_NCT[index_N], keypoints=keypoints, **columns)

    def signal(self, place: int) -> Floats:
        """One signal (C, T) without its padding."""
        return self.values_NCT[place, :, : self.lengths_N[place]]

    def longest(self) -> Floats:
        """The longest signal (C, T), the first of several; there has to be one."""
        return self.signal(int(self.lengths_N.argmax()))

    def weighed(self, by_annotator: Mapping[str, float]) -> "Signals":
        """The same signals, keypoints of each annotator counting so much; of one that is not named fully."""
        weights = [by_annotator.get(str(annotator), 1.0) for annotator in self.annotators_N]
        return replace(self, weights_N=np.array(weights, np.float32))

    def of_batch(self, number: int) -> "Signals":
        """The same signals as those of the batch with this number."""
        return replace(self, batches_N=np.full(len(self), number, np.int64))

    def _events(self) -> list[tuple[str, Floats]]:
        return list(self.keypoints.items())


_COLUMNS = ("lengths_N", "element_ids_N", "session_ids_N", "annotators_N", "weights_N", "batches_N")


def make_signals(
    values: Sequence[NDArray[Any]],
    element_ids: Sequence[str],
    session_ids: Sequence[str],
    keypoints: Mapping[str, Sequence[float] | NDArray[Any]] | None = None,
    annotators: Sequence[str] | None = None,
) -> Signals:
    """Signals from arrays (C, T) of their own lengths; a keypoint that is NaN is not annotated.

    Raises ValueError, naming the signal (from 0), for no signals, another number of channels, an empty or not finite
    signal, one that holds no real numbers, an id that is missing or without text, and a keypoint outside its signal.
    """
    if len(values) == 0:
        raise ValueError("there are no signals")
    lengths_N = np.array([_length(place, value, values[0]) for place, value in enumerate(values)], np.int64)
    padded_NCT = np.zeros((len(values), values[0].shape[0], int(lengths_N.max())), np.float32)
    for place, value in enumerate(values):
        padded_NCT[place, :, : lengths_N[place]] = value
    events = {name: np.asarray(positions, np.float32) for name, positions in (keypoints or {}).items()}
    signals = Signals(
        padded_NCT,
        lengths_N,
        _texts(element_ids),
        _texts(session_ids),
        events,
        np.full(len(values), "", np.str_) if annotators is None else np.array(annotators, np.str_),
        np.ones(len(values), np.float32),
        np.zeros(len(values), np.int64),
    )
    check_signals(signals)
    return signals


def check_signals(signals: Signals) -> None:
    """Raise ValueError, naming the first signal (from 0) whose values, ids or keypoints cannot be meant."""
    if not np.isfinite(signals.values_NCT).all():
        place = int(np.argmax(~np.isfinite(signals.values_NCT).all(axis=(1, 2))))
        raise ValueError(f"signal {place} holds a value that is not a finite float32")
    for what, ids_N in (("element", signals.element_ids_N), ("session", signals.session_ids_N)):
        if (ids_N == "").any():
            raise ValueError(f"signal {int(np.argmax(ids_N == ''))} has no {what} id")
    for name, positions_N in signals.keypoints.items():
        outside_N = (positions_N < 0) | (positions_N > signals.lengths_N - 1)
        if outside_N.any():
            place = int(np.argmax(outside_N))
            raise ValueError(
                f"signal {place}: the keypoint {name!r} lies at {positions_N[place]:g}; "
                f"allowed is 0 to {signals.lengths_N[place] - 1}, or NaN for not annotated"
            )


def join_signals(parts: Sequence[Signals]) -> Signals:
    """All signals of several parts, in order; raises ValueError where channels or names of keypoints differ."""
    if not parts:
        raise ValueError("there are no signals to join")
    kinds = {(part.channels, tuple(part.keypoints)) for part in parts}
    if len(kinds) != 1:
        raise ValueError(f"signals of different channels or keypoints cannot be joined: {sorted(kinds)}")
    longest = max(part.values_NCT.shape[2] for part in parts)
    wide = [np.pad(p.values_NCT, ((0, 0), (0, 0), (0, longest - p.values_NCT.shape[2]))) for p in parts]
    columns = {name: np.concatenate([getattr(part, name) for part in parts]) for name in _COLUMNS}
    keypoints = {name: np.concatenate([part.keypoints[name] for part in parts]) for name in parts[0].keypoints}
    return Signals(values_NCT=np.concatenate(wide), keypoints=keypoints, **columns)


class SignalBatch(TypedDict):
    """What a dataset returns of B signals.

    signals: float32 (B, C, T), 0 past each length. lengths, element_ids, session_ids: int64 (B,). keypoints: by name
    float32 positions (B,), NaN where not annotated. weights: float32 (B,), how much a signal's keypoints count.
    """

    signals: Tensor
    lengths: Tensor
    element_ids: Tensor
    session_ids: Tensor
    keypoints: dict[str, Tensor]
    weights: Tensor


class SignalSource(Protocol):
    """What samplers and trainings read signals from: a dataset in torch's sense, whose index is a list of places."""

    def __len__(self) -> int: ...

    def __getitem__(self, places: Sequence[int] | Tensor) -> SignalBatch: ...

    @property
    def element_ids(self) -> Tensor:
        """Each signal's element as a number, int64 (N,)."""
        ...

    @property
    def session_ids(self) -> Tensor:
        """Each signal's session as a number, int64 (N,); no two elements share one."""
        ...


class SignalDataset:
    """Signals as tensors; `DataLoader(dataset, sampler=batches_of_places, batch_size=None)` loads from it.

    A batch is padded to its own longest signal.
    """

    def __init__(self, signals: Signals) -> None:
        self.signals = signals
        self.element_ids = torch.from_numpy(signals.elements_N)
        self.session_ids = torch.from_numpy(signals.sessions_N)
        self._values_NCT = torch.from_numpy(signals.values_NCT)
        self._lengths_N = torch.from_numpy(signals.lengths_N)
        self._weights_N = torch.from_numpy(signals.weights_N)
        self._keypoints = {name: torch.from_numpy(positions_N) for name, positions_N in signals.keypoints.items()}

    def __len__(self) -> int:
        return len(self.signals)

    def __getitem__(self, places: Sequence[int] | Tensor) -> SignalBatch:
        places_B = torch.as_tensor(places, dtype=torch.int64)
        lengths_B = self._lengths_N[places_B]
        return SignalBatch(
            signals=self._values_NCT.index_select(0, places_B)[:, :, : int(lengths_B.max())],
            lengths=lengths_B,
            element_ids=self.element_ids[places_B],
            session_ids=self.session_ids[places_B],
            keypoints={name: positions_N[places_B] for name, positions_N in self._keypoints.items()},
            weights=self._weights_N[places_B],
        )


def _length(place: int, value: NDArray[Any], first: NDArray[Any]) -> int:
    if value.ndim != 2 or value.shape[0] != first.shape[0] or 0 in value.shape:
        channels = first.shape[0] if first.ndim == 2 else "channels"
        raise ValueError(
            f"signal {place} has the shape {value.shape}; allowed is ({channels}, samples), at least one sample"
        )
    if value.dtype.kind not in "fiub":
        raise ValueError(f"signal {place} holds {value.dtype}; allowed are real numbers")
    return value.shape[1]


def _texts(ids: Sequence[Any]) -> Texts:
    """Ids as text, "" where one is missing: None, or NaN, which is not itself."""
    return np.array(["" if one is None or one != one else str(one) for one in ids], np.str_)


def _numbered(ids_N: NDArray[Any]) -> NDArray[np.int64]:
    return np.unique(ids_N, return_inverse=True)[1].astype(np.int64)
