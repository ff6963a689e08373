"""Sensors that are never still and yet never change: autoregressions with seasons, heavy tails and volatile noise.

Shapes: N hourly rows, F sensors.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.signal import lfilter

Floats = NDArray[np.float64]

WARM_UP = 1000
GARCH_SHOCK, GARCH_MEMORY = 0.1, 0.85


@dataclass(frozen=True)
class Setting:
    """One kind of stream; every sensor's autoregression has mean 0 and deviation 1 before season and noise are added.

    correlation: of the sensors with each other. season: amplitude of a daily cycle; half as much of a weekly one.
    noise: deviation of white noise on top. resolution: of the readings; 0 for none.
    """

    phi: float
    innovations: Literal["normal", "t3", "garch"] = "normal"
    correlation: float = 0.0
    season: float = 0.0
    noise: float = 0.0
    resolution: float = 0.0


SETTINGS = {
    "AR(1), φ 0": Setting(0.0),
    "AR(1), φ 0.5": Setting(0.5),
    "AR(1), φ 0.9": Setting(0.9),
    "AR(1), φ 0.97": Setting(0.97),
    "AR(1), φ 0.99": Setting(0.99),
    "φ 0.5, season": Setting(0.5, season=1.0),
    "φ 0.9, season": Setting(0.9, season=1.0),
    "φ 0.5, t3 tails": Setting(0.5, "t3"),
    "φ 0.5, GARCH": Setting(0.5, "garch"),
    "φ 0.97 and noise": Setting(0.97, noise=0.5),
    "φ 0.9, rounded": Setting(0.9, resolution=0.25),
    "φ 0, correlated 0.6": Setting(0.0, correlation=0.6),
    "φ 0.9, correlated 0.6": Setting(0.9, correlation=0.6),
}


def make_stream(setting: Setting, rows: int, sensors: int, seed: int) -> Floats:
    """A stationary stream, (N, F)."""
    rng = np.random.default_rng(seed)
    shocks_NF = _innovations(setting, rows + WARM_UP, sensors, rng) * np.sqrt(1 - setting.phi**2)
    values_NF = lfilter([1.0], [1.0, -setting.phi], shocks_NF, axis=0)[WARM_UP:]
    hours_N = np.arange(rows)[:, None] + rng.uniform(0, 168, sensors)
    daily_NF, weekly_NF = np.sin(2 * np.pi * hours_N / 24), np.sin(2 * np.pi * hours_N / 168)
    values_NF += setting.season * (daily_NF + weekly_NF / 2) + setting.noise * rng.standard_normal((rows, sensors))
    return np.round(values_NF / setting.resolution) * setting.resolution if setting.resolution else values_NF


def _innovations(setting: Setting, rows: int, sensors: int, rng: np.random.Generator) -> Floats:
    own_NF, common_N1 = rng.standard_normal((rows, sensors)), rng.standard_normal((rows, 1))
    normal_NF = np.sqrt(1 - setting.correlation) * own_NF + np.sqrt(setting.correlation) * common_N1
    if setting.innovations == "t3":
        return normal_NF / np.sqrt(rng.chisquare(3, (rows, sensors)))
    return _garch(normal_NF) if setting.innovations == "garch" else normal_NF


def _garch(normal_NF: Floats) -> Floats:
    variance_F = np.ones(normal_NF.shape[1])
    shocks_NF = np.empty_like(normal_NF)
    for row, normal_F in enumerate(normal_NF):
        shocks_NF[row] = normal_F * np.sqrt(variance_F)
        variance_F = 1 - GARCH_SHOCK - GARCH_MEMORY + GARCH_SHOCK * shocks_NF[row] ** 2 + GARCH_MEMORY * variance_F
    return shocks_NF
