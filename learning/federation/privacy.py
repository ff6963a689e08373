"""Clipping, noise, and what is left to be told from what was released.

Shapes: P shared numbers.
"""

from dataclasses import asdict, dataclass
from functools import cache
from typing import Any

import numpy as np

from learning.federation.records import opacus_library
from learning.federation.sharing import Vector

ACCURACY = 0.005
"""To how much of epsilon the accountant is exact."""


@dataclass(frozen=True)
class Spent:
    """What is guaranteed: (ε, δ), for the level of `node` or `record`; node: of whose records."""

    level: str
    epsilon: float
    delta: float
    node: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """The fields by name."""
        return asdict(self)


def clip(update_P: Vector, limit: float) -> Vector:
    """The update, cut to at most so long."""
    norm = float(np.linalg.norm(update_P.astype(np.float64)))
    return update_P if norm <= limit else (update_P * np.float32(limit / norm)).astype(np.float32)


def add_noise(update_P: Vector, deviation: float, rng: np.random.Generator) -> Vector:
    """The update with Gaussian noise on every number."""
    return (update_P + deviation * rng.standard_normal(len(update_P))).astype(np.float32)


@cache
def epsilon_of(history: tuple[tuple[float, float, int], ...], delta: float) -> float:
    """ε of sampled Gaussian mechanisms, one after another, at δ, by Opacus' PRV accountant (Gopi et al. 2021).

    history: noise multiplier, sampling rate and steps. Two data sets are neighbours if one has one member more. An
    upper bound: at most five thousandths above what is exact. Raises ValueError where Opacus is not installed.
    """
    opacus_library()
    from opacus.accountants import PRVAccountant

    if not history:
        return 0.0
    accountant: Any = PRVAccountant()
    accountant.history = list(history)
    with np.errstate(divide="ignore"):  # it takes the logarithm of a density that is nowhere
        rough = float(accountant.get_epsilon(delta=delta, eps_error=0.1))
        exact = max(1e-4, ACCURACY * max(rough - 0.1, 0.05))
        return float(accountant.get_epsilon(delta=delta, eps_error=exact, delta_error=delta / 1000))
