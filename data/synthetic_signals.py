"""Synthetic signals whose element, session and keypoints are known: pulses of a machine's cycle, by a seed.

Each element has a pulse of its own shape (heights and widths of three bumps); each session of it shifts heights,
baseline and noise a little; each signal jitters in time and length. The keypoints are the tops of the bumps.

Shapes: N signals, C channels, T samples.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from data.signals import Signals, make_signals

KEYPOINTS = ("rise", "peak", "fall")
CHANNELS = 2

Values = NDArray[np.float64]


@dataclass(frozen=True)
class SignalPlan:
    """How many signals of what; elements: their numbers, each of which always has the same shape for one seed.

    moved: how far each element's shape has worn, in deviations between elements; annotated: share of keypoints told.
    """

    elements: tuple[int, ...] = (0, 1, 2, 3)
    sessions: tuple[int, ...] = (0, 1, 2)
    signals: int = 6
    samples: int = 96
    noise: float = 0.1
    moved: float = 0.0
    annotated: float = 0.9


def synthetic_signals(plan: SignalPlan, seed: int) -> Signals:
    """The plan's signals, elements named `m00` and sessions `m00/s0`, in order of element, session and signal."""
    values: list[NDArray[np.float32]] = []
    elements, sessions, tops = list[str](), list[str](), list[Values]()
    for element in plan.elements:
        shape = _shape(np.random.default_rng((seed, element)), np.random.default_rng((seed, element, 1)), plan.moved)
        for session in plan.sessions:
            rng = np.random.default_rng((seed, element, 2, session))
            of_session = shape * np.exp(0.12 * rng.standard_normal(shape.shape))
            for _ in range(plan.signals):
                value, top = _signal(of_session, plan, rng)
                values.append(value)
                tops.append(np.where(rng.random(len(KEYPOINTS)) < plan.annotated, top, np.nan))
                elements.append(f"m{element:02}")
                sessions.append(f"m{element:02}/s{session}")
    positions_NK = np.stack(tops)
    keypoints = {name: positions_NK[:, k] for k, name in enumerate(KEYPOINTS)}
    return make_signals(values, elements, sessions, keypoints)


def _shape(rng: np.random.Generator, wear: np.random.Generator, moved: float) -> Values:
    """Per bump its height in each channel and its width, all positive: (bumps, C + 1)."""
    return np.exp(0.6 * rng.standard_normal((len(KEYPOINTS), CHANNELS + 1)) + 0.6 * moved * _unit(wear))


def _unit(rng: np.random.Generator) -> Values:
    direction = rng.standard_normal((len(KEYPOINTS), CHANNELS + 1))
    return direction / np.sqrt((direction**2).mean())


def _signal(shape: Values, plan: SignalPlan, rng: np.random.Generator) -> tuple[NDArray[np.float32], Values]:
    samples = round(plan.samples * float(rng.uniform(0.85, 1.0)))
    time_T = np.arange(samples)
    tops = samples * (np.array([0.25, 0.5, 0.75]) + rng.uniform(-0.06, 0.06, len(KEYPOINTS)))
    widths = samples * 0.035 * np.clip(shape[:, CHANNELS], 0.4, 2.5)
    bumps_KT = np.exp(-0.5 * ((time_T - tops[:, None]) / widths[:, None]) ** 2)
    signs = np.array([[1.0, 1.0], [-1.0, 1.0], [1.0, -1.0]])
    clean_CT = (signs * shape[:, :CHANNELS]).T @ bumps_KT
    return (clean_CT + plan.noise * rng.standard_normal(clean_CT.shape)).astype(np.float32), tops
