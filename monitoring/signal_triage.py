"""What happened to a batch of signals: a channel that is wrong, clusters that moved, elements never seen.

A channel is held against the same elements' earlier sessions and against the other channels: if one alone reads more or
less than it did of the very elements, it is the sensor; if most do, the process moved. A channel that stands still
where it never did is dead or stuck, whatever the others say.

Shapes: N signals, S sessions, C channels.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from monitoring.causes import Cause, Readings, Triage

Floats = NDArray[np.float64]
Texts = NDArray[np.str_]

STILL = 0.5
"""So much of what usually moves must stand still before a channel is called stuck."""
FEWEST_SESSIONS = 3
"""Sessions of known elements that a batch needs, and elements with so many earlier ones, to tell of scale and level."""
DEVIATIONS = 6.0
"""Standard errors of the median over a batch's sessions by which a channel must be off."""
LEAST_SCALE, LEAST_LEVEL = 0.2, 0.5
"""And by at least so much: in the logarithm of its deviation, in deviations of its readings."""
_TINY = 1e-9


@dataclass(frozen=True)
class Described:
    """Signals by their channels' readings. elements_N, sessions_N: ids; a session's with its element's.

    means_NC, deviations_NC: over each signal's samples. still_NC: the share of samples equal to the one before.
    """

    elements_N: Texts
    sessions_N: Texts
    means_NC: Floats
    deviations_NC: Floats
    still_NC: Floats


def triage_signals(
    channels: Sequence[str], before: Described | None, now: Described, new_elements: Sequence[str], moved: str | None
) -> Triage:
    """Name what happened, and which signals to set aside (`set_aside` by their place from 0).

    before: of earlier sound batches. new_elements: those that the champion does not know; None of them without a
    champion. moved: what says that clusters of embeddings have moved, if they have.
    """
    stuck_NC = _stuck(before, now)
    off = {} if before is None else _off(before, now, stuck_NC.sum(1) == 0)
    alone = off if len(off) <= max(1, (len(channels) - 1) // 2) and len(channels) > 1 else {}
    faults = [_stuck_text(channels[c], stuck_NC[:, c]) for c in _where(stuck_NC)]
    faults += [f"{channels[c]} {text}, the other channels as before" for c, text in alone.items()]
    causes: list[tuple[Cause, str]] = [("sensor_fault", "; ".join(faults))] if faults else []
    if moved is not None or len(off) > len(alone):
        texts = [] if len(off) == len(alone) else [f"{channels[c]} {text}" for c, text in off.items()]
        causes.append(("covariate", "; ".join([*texts, *([moved] if moved else [])])))
    if new_elements:
        causes.append(("regime", _listed(new_elements)))
    if not causes:
        return Triage("none", (), "every channel reads what it did of the same elements")
    wrong_NC = stuck_NC.copy()
    wrong_NC[:, list(alone)] = True
    named = tuple(channels[c] for c in _where(wrong_NC))
    aside = tuple(part for c in _where(wrong_NC) for part in _runs(channels[c], wrong_NC[:, c]))
    (cause, reason), *others = causes
    also = "".join(f"; also: {text}" for _, text in others)
    return Triage(cause, named, reason + also, tuple(other for other, _ in others), aside)


def _where(wrong_NC: NDArray[np.bool_]) -> list[int]:
    """The channels that are wrong in any signal."""
    return np.flatnonzero(wrong_NC.sum(0)).tolist()


def _stuck(before: Described | None, now: Described) -> NDArray[np.bool_]:
    """Which signals' channels stand still: for more of the signal than any earlier one did.

    In a first batch: altogether, where others of it do not.
    """
    if before is None:
        return (now.still_NC >= 1) & (now.still_NC.min(0) < 1)
    usual_C = before.still_NC.max(0)
    return np.where(usual_C < 1, now.still_NC > usual_C + STILL * (1 - usual_C), False)


def _off(before: Described, now: Described, sound_N: NDArray[np.bool_]) -> dict[int, str]:
    """The channels whose scale or level differs from that of the same elements' earlier sessions, and by how much."""
    usual_C = np.maximum(np.median(before.deviations_NC, 0), _TINY)
    earlier = _by_session(before, np.ones(len(before.elements_N), np.bool_), usual_C)
    later = _by_session(now, sound_N, usual_C)
    known = {element for element, sessions in earlier.items() if len(sessions) >= FEWEST_SESSIONS}
    asked = [(e, session) for e in known & set(later) for session in later[e]]
    if len(asked) < FEWEST_SESSIONS or len(known) < 2:
        return {}
    scatter_SF = np.concatenate([_left_out(np.stack(earlier[e])) for e in sorted(known)])
    gaps_SF = np.stack([session - np.mean(earlier[e], 0) for e, session in asked])
    middle_F = np.median(gaps_SF, 0)
    error_F = 1.25 * 1.4826 * np.median(np.abs(scatter_SF), 0) / np.sqrt(len(asked))
    least_F = np.repeat([LEAST_SCALE, LEAST_LEVEL], len(middle_F) // 2)
    off_F = np.abs(middle_F) > np.maximum(least_F, DEVIATIONS * error_F)
    scale_C, level_C = np.split(middle_F, 2)
    found: dict[int, str] = {}
    for c in range(len(scale_C)):
        texts = [f"swings {np.exp(scale_C[c]):.2g} times as far as it did"] if off_F[c] else []
        texts += [f"reads {level_C[c]:+.2g} of its deviations"] if off_F[len(scale_C) + c] else []
        if texts:
            found[c] = f"{' and '.join(texts)} of the same elements"
    return found


def _by_session(described: Described, chosen_N: NDArray[np.bool_], usual_C: Floats) -> dict[str, list[Floats]]:
    """Of each element's sessions the mean logarithm of deviations, then the mean level in the channels' usual ones."""
    scales_NC = np.log(np.maximum(described.deviations_NC / usual_C, _TINY))
    values_NF = np.concatenate([scales_NC, described.means_NC / usual_C], 1)
    found: dict[str, list[Floats]] = {}
    for session in np.unique(described.sessions_N[chosen_N]):
        of_session = chosen_N & (described.sessions_N == session)
        element = str(described.elements_N[of_session][0])
        found.setdefault(element, []).append(values_NF[of_session].mean(0))
    return found


def _left_out(sessions_SF: Floats) -> Floats:
    """How far each session lies from the mean of its element's others."""
    count = len(sessions_SF)
    return (sessions_SF - sessions_SF.mean(0)) * count / (count - 1)


def _stuck_text(channel: str, stuck_N: NDArray[np.bool_]) -> str:
    count = int(stuck_N.sum())
    return f"{channel} stands still in {count:,} of {len(stuck_N):,} signals"


def _listed(elements: Sequence[str], most: int = 5) -> str:
    shown = ", ".join(elements[:most])
    return shown if len(elements) <= most else f"{shown} and {len(elements) - most} more"


def _runs(channel: str, wrong_N: NDArray[np.bool_]) -> list[Readings]:
    edges = np.flatnonzero(np.diff(np.concatenate([[False], wrong_N, [False]]).astype(np.int8)))
    return [Readings(channel, int(first), int(last) - 1) for first, last in list(pairwise(edges))[::2]]
