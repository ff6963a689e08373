"""Planted faults of signals through the pure loop: is a version ever promoted that is worse than the champion?

`python -m benchmarks.signal_faults [--faults 1000] [--lines 20] [--first-seed 20000]`: fifteen kinds of bad deliveries
(an update is learned from each that is not stopped before) and two of bad candidates, each with a strength, a channel
and a share of sessions drawn by the fault's own seed, in halls of eight machines whose champion has learned from four
batches. Where a delivery promotes nothing, the next sound one is asked the same, with all that the faulty one left
behind. A promotion is bad where the promoted network finds the right machine of more than 2 points fewer signals than
the champion, or errs by more than a tenth more in keypoints, on 1,200 clean signals of other sessions.
`sound` is no fault: two sound deliveries, by which promotions are compared. A run that was killed goes on with the
lines it was at. Writes benchmarks/out/signal_faults.json and .png.
"""

from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.fault_run import FaultRun, Rng, damage, drawn, follow_up
from benchmarks.fault_summary import SOUND, Planted
from benchmarks.signal_loop import LATER, LEARNED, SCHEMA, Answer, Scene, Version, failed, mark, open_scene
from data.signal_checks import BATCH, signals_frame, signals_of
from data.signals import Signals
from models.hierarchical import HierarchicalSignalNet

MARGINS = {"element_recall_at_1": 0.02, "keypoint_mae": 0.1}

Tampered = tuple[Signals, str]
Mask = NDArray[np.bool_]


def _hit(signals: Signals, rng: Rng) -> Mask:
    """All signals, or those of a share of sessions."""
    share = float(drawn(rng, 0.3, 0.6, 1.0, 1.0))
    sessions = np.unique(signals.sessions_N)
    return np.isin(signals.sessions_N, rng.permutation(sessions)[: max(1, round(share * len(sessions)))])


def _shift(signals: Signals, rng: Rng, _: Scene) -> Tampered:
    samples = float(drawn(rng, 0.5, 1.0, 2.0, 4.0, 8.0)) * float(rng.choice([-1.0, 1.0]))
    names = drawn(rng, [*signals.keypoints], [str(drawn(rng, *signals.keypoints))])
    hit_N, moved = _hit(signals, rng), dict(signals.keypoints)
    for name in names:
        moved[name] = np.where(hit_N, _inside(moved[name] + samples, signals), moved[name]).astype(np.float32)
    return replace(signals, keypoints=moved), f"{', '.join(names)} {samples:+g} samples in {hit_N.mean():.0%}"


def _inside(positions_N: NDArray[np.floating[Any]], signals: Signals) -> NDArray[Any]:
    return np.clip(positions_N, 0, signals.lengths_N - 1)


def _swap_keypoints(signals: Signals, rng: Rng, _: Scene) -> Tampered:
    first, other = (str(name) for name in rng.permutation([*signals.keypoints])[:2])
    hit_N, told = _hit(signals, rng), signals.keypoints
    swapped = {
        first: np.where(hit_N, told[other], told[first]),
        other: np.where(hit_N, told[first], told[other]),
    }
    keypoints = {name: swapped.get(name, told[name]) for name in told}
    return replace(signals, keypoints=keypoints), f"{first} and {other} in {hit_N.mean():.0%}"


def _random_keypoints(signals: Signals, rng: Rng, _: Scene) -> Tampered:
    hit_N, spread = _hit(signals, rng), float(drawn(rng, 2.0, 6.0, np.inf))
    found: dict[str, NDArray[np.float32]] = {}
    for name, told_N in signals.keypoints.items():
        anywhere_N = rng.uniform(0, 1, len(signals)) * (signals.lengths_N - 1)
        near_N = _inside(told_N + (0 if np.isinf(spread) else spread) * rng.standard_normal(len(signals)), signals)
        found[name] = np.where(hit_N, anywhere_N if np.isinf(spread) else near_N, told_N).astype(np.float32)
    return replace(signals, keypoints=found), f"scattered by {spread} samples in {hit_N.mean():.0%}"


def _permute_elements(signals: Signals, rng: Rng, _: Scene) -> Tampered:
    """Elements that bear one another's names, some or all of them, or signals at random."""
    names = np.unique(signals.element_ids_N)
    count = int(drawn(rng, 2, 4, len(names)))
    ids_N = signals.element_ids_N.copy()
    if rng.random() < 0.3:
        hit_N = _hit(signals, rng)
        ids_N[hit_N] = rng.permutation(ids_N[hit_N])
        return replace(signals, element_ids_N=ids_N), f"at random in {hit_N.mean():.0%}"
    some = rng.permutation(names)[:count]
    for old, new in zip(some, np.roll(some, 1), strict=True):
        ids_N[signals.element_ids_N == old] = new
    return replace(signals, element_ids_N=ids_N), f"{count} elements in a ring"


def _one_element(signals: Signals, rng: Rng, _: Scene) -> Tampered:
    name, hit_N = str(drawn(rng, signals.element_ids_N[0], "unknown")), _hit(signals, rng)
    ids_N = np.where(hit_N, name, signals.element_ids_N)
    return replace(signals, element_ids_N=ids_N), f"all {name} in {hit_N.mean():.0%}"


def _wrong_sessions(signals: Signals, rng: Rng, scene: Scene) -> Tampered:
    how, ids_N = str(drawn(rng, "shuffled", "one", "each its own", "old")), signals.session_ids_N
    match how:
        case "shuffled":
            ids_N = rng.permutation(ids_N)
        case "one":
            ids_N = np.full(len(signals), f"{scene.seed}/only")
        case "each its own":
            ids_N = np.array([f"{scene.seed}/{place}" for place in range(len(signals))])
        case _:
            ids_N = scene.delivery(1 + int(rng.integers(LEARNED))).session_ids_N
    return replace(signals, session_ids_N=ids_N), how


def _on_channel(
    change: Callable[[NDArray[np.float32], Rng], tuple[NDArray[np.float32], str]],
) -> Callable[[Signals, Rng, Scene], Tampered]:
    """What happens to one channel (N, T) of some sessions."""

    def tamper(signals: Signals, rng: Rng, _: Scene) -> Tampered:
        channel, hit_N, values_NCT = int(rng.integers(signals.channels)), _hit(signals, rng), signals.values_NCT.copy()
        changed_NT, what = change(values_NCT[hit_N, channel], rng)
        values_NCT[hit_N, channel] = changed_NT
        return _unpadded(replace(signals, values_NCT=values_NCT)), f"channel {channel} {what} in {hit_N.mean():.0%}"

    return tamper


def _unpadded(signals: Signals) -> Signals:
    """Zeros behind each signal again."""
    there_NT = np.arange(signals.values_NCT.shape[2]) < signals.lengths_N[:, None]
    return replace(signals, values_NCT=np.where(there_NT[:, None], signals.values_NCT, 0).astype(np.float32))


def _dead(values_NT: NDArray[np.float32], rng: Rng) -> tuple[NDArray[np.float32], str]:
    level, share = float(drawn(rng, 0.0, 1.0, -3.0)), float(drawn(rng, 0.3, 0.6, 1.0))
    found_NT = values_NT.copy()
    found_NT[:, round((1 - share) * values_NT.shape[1]) :] = level
    return found_NT, f"at {level:g} for the last {share:.0%}"


def _scale(values_NT: NDArray[np.float32], rng: Rng) -> tuple[NDArray[np.float32], str]:
    factor = float(drawn(rng, -2.0, -1.0, 0.1, 0.5, 0.8, 1.25, 2.0, 10.0))
    return values_NT * np.float32(factor), f"× {factor:g}"


def _noise(values_NT: NDArray[np.float32], rng: Rng) -> tuple[NDArray[np.float32], str]:
    deviation = float(drawn(rng, 0.5, 1.0, 2.0, 8.0))
    noise_NT = (deviation * rng.standard_normal(values_NT.shape)).astype(np.float32)
    return values_NT + noise_NT, f"with noise of {deviation:g}"


def _offset(values_NT: NDArray[np.float32], rng: Rng) -> tuple[NDArray[np.float32], str]:
    level = float(drawn(rng, -4.0, -1.0, -0.3, 0.3, 1.0, 4.0))
    return values_NT + np.float32(level), f"{level:+g}"


def _swap_channels(signals: Signals, rng: Rng, _: Scene) -> Tampered:
    hit_N, values_NCT = _hit(signals, rng), signals.values_NCT.copy()
    values_NCT[hit_N] = values_NCT[hit_N][:, ::-1]
    return replace(signals, values_NCT=values_NCT), f"channels change places in {hit_N.mean():.0%}"


def _stretch(signals: Signals, rng: Rng, _: Scene) -> Tampered:
    """Another rate of sampling; keypoints are of the new rate, or stay where they were."""
    factor, hit_N, follow = float(drawn(rng, 0.5, 0.8, 1.25, 2.0)), _hit(signals, rng), bool(rng.random() < 0.5)
    lengths_N = np.where(hit_N, np.round(signals.lengths_N * factor), signals.lengths_N).astype(np.int64)
    values_NCT = np.zeros((len(signals), signals.channels, int(lengths_N.max())), np.float32)
    for place, length in enumerate(lengths_N):
        from_T, signal_CT = np.arange(length) / (factor if hit_N[place] else 1.0), signals.signal(place)
        steps_T = np.arange(signal_CT.shape[1])
        values_NCT[place, :, :length] = [np.interp(from_T, steps_T, row_T) for row_T in signal_CT]
    moved = replace(signals, values_NCT=values_NCT, lengths_N=lengths_N)
    by_N = np.where(hit_N & follow, factor, 1.0)
    keypoints = {k: _inside(p_N * by_N, moved).astype(np.float32) for k, p_N in signals.keypoints.items()}
    told = "with" if follow else "without"
    return replace(moved, keypoints=keypoints), f"× {factor:g} {told} keypoints in {hit_N.mean():.0%}"


def _old_again(signals: Signals, rng: Rng, scene: Scene) -> Tampered:
    """Signals of an earlier batch under new sessions, of their own elements or of others."""
    number, others = 1 + int(rng.integers(LEARNED)), bool(rng.random() < 0.5)
    old, hit_N = signals_of(scene.stored.filter(scene.stored[BATCH] == number), SCHEMA), _hit(signals, rng)
    count = min(len(old), len(signals))
    old, hit_N = old.take(np.arange(count)), hit_N[:count]
    signals = signals.take(np.arange(count))
    longest = max(old.values_NCT.shape[2], signals.values_NCT.shape[2])
    values = [np.pad(s.values_NCT, ((0, 0), (0, 0), (0, longest - s.values_NCT.shape[2]))) for s in (old, signals)]
    ids_N = np.roll(old.element_ids_N, count // 2) if others else old.element_ids_N
    again = replace(
        signals,
        values_NCT=np.where(hit_N[:, None, None], *values),
        lengths_N=np.where(hit_N, old.lengths_N, signals.lengths_N),
        element_ids_N=np.where(hit_N, ids_N, signals.element_ids_N),
        keypoints={k: np.where(hit_N, old.keypoints[k], p_N) for k, p_N in signals.keypoints.items()},
    )
    return again, f"batch {number} as {'other' if others else 'the same'} elements in {hit_N.mean():.0%}"


def _truncate(signals: Signals, rng: Rng, _: Scene) -> Tampered:
    """Only the first part of each, keypoints that are not there any more left out or at its end."""
    share, hit_N, kept = float(drawn(rng, 0.4, 0.6, 0.8)), _hit(signals, rng), bool(rng.random() < 0.5)
    lengths_N = np.where(hit_N, np.round(signals.lengths_N * share), signals.lengths_N).astype(np.int64)
    cut = _unpadded(replace(signals, lengths_N=lengths_N))
    keypoints = {
        name: np.where(p_N > lengths_N - 1, lengths_N - 1 if kept else np.nan, p_N).astype(np.float32)
        for name, p_N in signals.keypoints.items()
    }
    told = "at the end" if kept else "left out"
    return replace(cut, keypoints=keypoints), f"to {share:.0%}, keypoints {told}, in {hit_N.mean():.0%}"


def _not_a_number(signals: Signals, rng: Rng, _: Scene) -> Tampered:
    share, values_NCT = float(drawn(rng, 0.05, 0.15, 0.5)), signals.values_NCT.copy()
    hit_N = rng.random(len(signals)) < share
    values_NCT[hit_N, int(rng.integers(signals.channels)), int(rng.integers(20))] = drawn(rng, np.nan, np.inf)
    return replace(signals, values_NCT=values_NCT), f"in {hit_N.mean():.0%}"


TAMPERED: Mapping[str, Callable[[Signals, Rng, Scene], Tampered]] = {
    SOUND: lambda signals, rng, scene: (signals, ""),
    "shifted keypoints": _shift,
    "swapped keypoints": _swap_keypoints,
    "random keypoints": _random_keypoints,
    "permuted elements": _permute_elements,
    "one element": _one_element,
    "wrong sessions": _wrong_sessions,
    "dead channel": _on_channel(_dead),
    "scaled channel": _on_channel(_scale),
    "noisy channel": _on_channel(_noise),
    "offset channel": _on_channel(_offset),
    "swapped channels": _swap_channels,
    "stretched": _stretch,
    "old signals again": _old_again,
    "truncated": _truncate,
    "not a number": _not_a_number,
}


def _corrupt(network: HierarchicalSignalNet, rng: Rng) -> str:
    """Weights that were hit on their way."""
    how = str(drawn(rng, "bits", "noise", "zeros", "scale", "not a number"))
    damage([weight for weight in network.parameters() if weight.dim() >= 2], how, rng)
    return how


def _collapse(network: HierarchicalSignalNet, rng: Rng) -> str:
    """Embeddings that keep some of their directions, or none."""
    head, kept = network.embedding, int(drawn(rng, 0, 1, 2, 4))
    head.weight[kept:].zero_()
    head.bias[kept:].zero_()
    head.bias[-1] = float(drawn(rng, 0.1, 10.0))
    return f"to {kept} directions"


SPOILT = {"corrupted weights": _corrupt, "collapsed embeddings": _collapse}
KINDS = (*TAMPERED, *SPOILT)


def inject(scene: Scene, kind: str, rng: Rng) -> Planted:
    """One fault of a kind in the scene's hall, in one of the batches that the champion has not seen."""
    number = LEARNED + 1 + int(rng.integers(LATER))
    delivery = scene.delivery(number)
    if kind in TAMPERED:
        tampered, what = TAMPERED[kind](delivery, rng, scene)
        return follow_up(scene, kind, what, scene.take(tampered), number, MARGINS)
    rows = mark(signals_frame(delivery, SCHEMA).drop(BATCH), LEARNED + 1)
    honest = scene.learn(rows)
    network = deepcopy(honest.network)
    with torch.no_grad():
        what = SPOILT[kind](network, rng)
    candidate = Version(network, honest.memory, honest.through)
    verdict, _ = scene.judge(candidate, rows)
    answer = Answer(candidate, "promoted") if verdict.passed else Answer(None, failed(verdict))
    return follow_up(scene, kind, what, answer, number, MARGINS)


FAULTS = FaultRun("signal_faults", KINDS, MARGINS, open_scene, inject)

if __name__ == "__main__":
    FAULTS.main(__doc__, faults=1_000, lines=20, first_seed=20_000)
