"""Signals warped in time so that their keypoints fall together: cycles that can be laid over one another.

Shapes: N signals, C channels, T samples of an aligned signal, S of the original, K keypoints.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from data.signals import Floats, Signals

Values = NDArray[np.float64]


@dataclass(frozen=True)
class Aligned:
    """Signals of one length, aligned.

    values_NCT: float32. places_N: which of the given signals they are. targets: by name where each keypoint lies now,
    in samples, in order of time. refused: by place, why a signal could not be aligned.
    """

    values_NCT: Floats
    places_N: NDArray[np.int64]
    targets: dict[str, float]
    refused: dict[int, str]

    @cached_property
    def mean_CT(self) -> Values:
        """The mean cycle."""
        return self.values_NCT.mean(0, dtype=np.float64)

    @cached_property
    def deviation_CT(self) -> Values:
        """The standard deviation around the mean cycle, over all signals."""
        return self.values_NCT.std(0, dtype=np.float64)


def align_signals(
    signals: Signals,
    positions: Mapping[str, Floats] | None = None,
    targets: Mapping[str, float] | None = None,
    samples: int | None = None,
) -> Aligned:
    """Warp each signal by the piecewise-linear time map that puts its keypoints on the targets, its ends on the ends.

    positions: of each keypoint by name, in samples, as a network predicts them; None: the annotated ones. A keypoint
    that is NaN is left out of that signal's map. targets: None puts each on its mean share of the signals' lengths.
    samples: the aligned length T; None: the mean length. A keypoint up to a sample outside its signal lies at its edge;
    a signal with one farther out, or before another that its target comes after, is refused with the reason, and left
    out.
    Raises ValueError for targets that no keypoint is given for, that lie outside the samples or are equal, for no
    signals, fewer than one sample, positions that are not one a signal, keypoints that are never there, and where every
    signal is refused.
    """
    found = {name: np.asarray(p, np.float64) for name, p in (positions or signals.keypoints).items()}
    _check_given(signals, found, samples)
    length = round(float(signals.lengths_N.mean())) if samples is None else samples
    placed = _in_order(_mean_places(signals, found, length) if targets is None else targets, found, length)
    positions_NK = _to_edges(np.stack([found[name] for name in placed], 1), signals.lengths_N)
    refused = {n: why for n, p_K in enumerate(positions_NK) if (why := _violation(p_K, placed, signals.lengths_N[n]))}
    places_N = np.array([n for n in range(len(signals)) if n not in refused], np.int64)
    if not len(places_N):
        raise ValueError(f"no signal can be aligned; the first: {refused[0]}")
    values = [_warped(signals.signal(n), positions_NK[n], np.array(list(placed.values())), length) for n in places_N]
    return Aligned(np.stack(values), places_N, placed, refused)


def _check_given(signals: Signals, positions: Mapping[str, Values], samples: int | None) -> None:
    if not len(signals):
        raise ValueError("there are no signals to align")
    if samples is not None and samples < 1:
        raise ValueError(f"aligned signals have one sample or more, not {samples}")
    for name, positions_N in positions.items():
        if positions_N.shape != (len(signals),):
            raise ValueError(
                f"{name!r} has the shape {positions_N.shape}; {len(signals)} signals need as many positions"
            )


def _to_edges(positions_NK: Values, lengths_N: NDArray[np.int64]) -> Values:
    """Places within a sample of a signal's ends at these."""
    last_N1 = lengths_N[:, None] - 1.0
    near_NK = (positions_NK >= -1) & (positions_NK <= last_N1 + 1)
    return np.where(near_NK, np.clip(positions_NK, 0, last_N1), positions_NK)


def _mean_places(signals: Signals, positions: Mapping[str, Values], length: int) -> dict[str, float]:
    last_N = np.maximum(signals.lengths_N - 1, 1)
    shares = {name: p_N[~np.isnan(p_N)] / last_N[~np.isnan(p_N)] for name, p_N in positions.items()}
    if missing := [name for name, share in shares.items() if not len(share)]:
        raise ValueError(f"no signal has the keypoint {missing[0]!r}; leave it out, or say its target")
    return {name: float(share.mean()) * (length - 1) for name, share in shares.items()}


def _in_order(targets: Mapping[str, float], positions: Mapping[str, Values], length: int) -> dict[str, float]:
    if unknown := set(targets) - set(positions):
        raise ValueError(f"targets without a keypoint: {sorted(unknown)}; the keypoints are {sorted(positions)}")
    if not targets:
        raise ValueError("signals are aligned on keypoints, and there are none")
    placed = dict(sorted(targets.items(), key=lambda item: item[1]))
    for name, target in placed.items():
        if not 0 <= target <= length - 1:
            raise ValueError(f"the target of {name!r} is {target:g}; allowed is 0 to {length - 1}")
    for (before, at), (after, then) in pairwise(placed.items()):
        if at == then:
            raise ValueError(
                f"{before!r} and {after!r} have one target, {at:g}; keypoints are aligned one after another"
            )
    return placed


def _violation(positions_K: Values, targets: Mapping[str, float], length: int) -> str:
    """Why a signal's keypoints cannot be mapped; empty where they can."""
    there = [(name, p) for name, p in zip(targets, positions_K, strict=True) if not np.isnan(p)]
    for name, position in there:
        if not 0 <= position <= length - 1:
            return f"{name} at {position:.4g} lies outside the signal's {length} samples"
    for (before, at), (after, then) in pairwise(there):
        if then < at:
            return f"{after} at {then:.4g} comes before {before} at {at:.4g}"
    return ""


def _warped(signal_CS: Floats, positions_K: Values, targets_K: Values, length: int) -> Floats:
    there_K = ~np.isnan(positions_K)
    targets, positions = targets_K[there_K], positions_K[there_K]
    # An end whose place a keypoint takes is no end: what lies beyond is the signal's first or last sample.
    first = int(not len(targets) or targets[0] > 0)
    last = int(not len(targets) or targets[-1] < length - 1)
    onto = np.concatenate([[0.0] * first, targets, [length - 1.0] * last])
    origin = np.concatenate([[0.0] * first, positions, [signal_CS.shape[1] - 1.0] * last])
    times_T = np.interp(np.arange(length), onto, origin)
    steps_S = np.arange(signal_CS.shape[1])
    return np.stack([np.interp(times_T, steps_S, channel_S) for channel_S in signal_CS]).astype(np.float32)
