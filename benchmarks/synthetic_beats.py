"""Heart beats of people who do not exist, with their waves' times: what a network learns before it sees real ones.

Each person has waves of their own, Gaussians of two sides (after McSharry et al. 2003), of which a beat is a slight
variation; neighbouring beats stand in the signal as in a real one. Shapes: N beats, T samples, W waves, L leads.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from data.signals import Signals, make_signals

HERTZ, SAMPLES, LEADS = 250, 300, 2
SESSIONS = 2
KEYPOINTS = ("p_peak", "qrs_on", "r_peak", "qrs_off", "t_peak", "t_off")
EDGE = 2.3
"""A wave of the QRS complex begins and ends so many deviations from its middle."""
T_END = 2.1
BIPHASIC = 0.3
"""Share of people whose T wave has two phases."""

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class _Person:
    """Middles, deviations to either side (seconds from the R peak) and heights in both leads of P, QRS and T waves.

    The first wave is the P wave, then come `inner` waves of the QRS complex; the last but `echoes` is the T wave,
    before which may stand its first phase. period: seconds between beats. level_L: of the ST segment.
    """

    middles_W: Floats
    rising_W: Floats
    falling_W: Floats
    heights_WL: Floats
    inner: int
    echoes: int
    period: float
    level_L: Floats


def synthetic_beats(people: int, beats: int, seed: int) -> Signals:
    """So many beats of each person, in two sessions, in millivolts."""
    generator = np.random.default_rng(seed)
    values: list[NDArray[np.float32]] = []
    keypoints: list[Floats] = []
    for person in (_person(generator) for _ in range(people)):
        for _ in range(beats):
            at = generator.uniform(90, 155) / HERTZ
            values.append(_beat(person, at, generator).astype(np.float32))
            keypoints.append(HERTZ * (at + _landmarks(person)))
    positions_NK = np.stack(keypoints)
    positions_NK[(positions_NK < 0) | (positions_NK > SAMPLES - 1)] = np.nan
    elements = [f"synthetic {person}" for person in range(people) for _ in range(beats)]
    sessions = [str(beat % SESSIONS) for _ in range(people) for beat in range(beats)]
    named = {name: positions_NK[:, k] for k, name in enumerate(KEYPOINTS)}
    return make_signals(values, elements, sessions, named, ["synthetic"] * len(values))


def _person(generator: np.random.Generator) -> _Person:
    g = generator
    period = float(np.clip(g.lognormal(np.log(0.82), 0.25), 0.42, 1.6))
    width = float(np.clip(g.lognormal(np.log(0.092), 0.22), 0.06, 0.2))
    onset = -width * g.uniform(0.3, 0.6)
    count = int(g.integers(2, 5))
    inner = g.uniform(onset + 0.2 * width, onset + 0.8 * width, count)
    inner[np.abs(inner).argmin()] = 0.0
    sizes = g.lognormal(np.log(np.where(inner == 0, 1.2, 0.45)), 0.5)
    spread = width * g.uniform(0.08, 0.16, count)
    p_spread = float(np.clip(g.lognormal(np.log(0.022), 0.25), 0.01, 0.045))
    p_middle = -float(np.clip(g.normal(0.115, 0.03), 0.05, 0.25)) - 0.4 * width
    t_rising = float(np.clip(g.lognormal(np.log(0.055), 0.35), 0.02, 0.14))
    t_falling = t_rising * float(np.clip(g.lognormal(-0.25, 0.25), 0.4, 1.4))
    usual = 0.30 * np.sqrt(period / 0.82) + 0.3 * (width - 0.09)
    t_middle = float(np.clip(g.normal(usual, 0.055), onset + width + 0.06 + 0.8 * t_rising, 0.62))
    t_heights_L = _direction(g) * g.lognormal(np.log(0.28), 0.7)
    middles, rising, falling = (
        [p_middle, *inner, t_middle],
        [p_spread, *spread, t_rising],
        [p_spread, *spread, t_falling],
    )
    heights = [_direction(g) * g.lognormal(np.log(0.14), 0.5), *(_direction(g) * s for s in sizes), t_heights_L]
    if g.random() < BIPHASIC:  # the T wave's first phase, to the other side; the second is what is annotated
        first = t_middle - (t_rising + t_falling) * g.uniform(0.9, 1.6)
        middles.insert(-1, max(first, onset + width + 0.04))
        rising.insert(-1, t_rising * g.uniform(0.8, 1.8))
        falling.insert(-1, t_falling * g.uniform(0.7, 1.1))
        heights.insert(-1, -t_heights_L * g.lognormal(0.0, 0.5))
    echoes = int(g.random() < 0.3)
    if echoes:  # a U wave
        middles.append(t_middle + 2 * t_falling + g.uniform(0.04, 0.12))
        rising.append(0.03)
        falling.append(0.03)
        heights.append(t_heights_L * min(1.0, g.lognormal(np.log(0.2), 0.7)))
    level_L = _direction(g) * abs(g.normal(0, 0.06))
    waves = [np.array(of_waves) for of_waves in (middles, rising, falling)]
    return _Person(waves[0], waves[1], waves[2], np.array(heights), count, echoes, period, level_L)


def _direction(generator: np.random.Generator) -> Floats:
    """Of a wave's vector in the two leads."""
    vector_L = generator.normal(size=LEADS)
    return vector_L / np.linalg.norm(vector_L)


def _landmarks(person: _Person) -> Floats:
    """The keypoints of a beat, in seconds from its R peak."""
    t = len(person.middles_W) - 1 - person.echoes
    qrs = slice(1, 1 + person.inner)
    onset = (person.middles_W - EDGE * person.rising_W)[qrs].min()
    end = (person.middles_W + EDGE * person.falling_W)[qrs].max()
    t_peak = person.middles_W[t]
    return np.array([person.middles_W[0], onset, 0.0, end, t_peak, t_peak + T_END * person.falling_W[t]])


def _beat(person: _Person, at: float, generator: np.random.Generator) -> Floats:
    """The signal (L, T) around the beat whose R peak lies at `at` seconds."""
    time_T, signal_LT = np.arange(SAMPLES) / HERTZ, np.zeros((LEADS, SAMPLES))
    heights_WL = person.heights_WL * generator.lognormal(0.0, 0.05, person.heights_WL.shape)
    _, _, _, end, t_peak, _ = _landmarks(person)
    for beat in range(-2, 3):
        since_T = time_T - at - beat * person.period * (1 + 0.03 * generator.normal())
        from_WT = since_T - person.middles_W[:, None]
        spread_WT = np.where(from_WT < 0, person.rising_W[:, None], person.falling_W[:, None])
        signal_LT += heights_WL.T @ np.exp(-0.5 * (from_WT / spread_WT) ** 2)
        held_T = _step((since_T - end) / 0.008) * _step((t_peak - since_T) / 0.03)
        signal_LT += person.level_L[:, None] * held_T
    return signal_LT


def _step(values_T: Floats) -> Floats:
    return 1 / (1 + np.exp(-values_T.clip(-50, 50)))
