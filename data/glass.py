"""What physics says about glass between furnace and lehr. Shapes: T rows; every function takes a number or (T,)."""

from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

V = TypeVar("V", float, NDArray[np.float64])

FIXED_POINTS = WORKING, SOFTENING, ANNEALING = 4.0, 7.6, 13.0
"""Viscosities, as powers of ten in dPa·s, by whose temperatures a glass is specified (ISO 7884-1)."""

GOBS = 3
"""Cut at once: a triple-gob feeder."""
FEEDER = 0.25
"""A gob is lighter by this share for each power of ten that its glass is stiffer: what the feeder's tube leaves of
the inverse proportion that Hagen and Poiseuille's law asks for."""

YOUNG_PA, EXPANSION_PER_K, POISSON = 70e9, 9e-6, 0.22
DIFFUSIVITY_M2_S = 5e-7
WALL_M = 0.004


@dataclass(frozen=True)
class Glass:
    """A glass by the temperatures, in °C, of its working, softening and annealing point."""

    working_c: float
    softening_c: float
    annealing_c: float

    @cached_property
    def constants(self) -> tuple[float, float, float]:
        """A, B and T0 of `viscosity`, through the three points."""
        w, s, a = self.working_c, self.softening_c, self.annealing_c
        ratio = (ANNEALING - SOFTENING) / (SOFTENING - WORKING) * (w - s) / (s - a)
        t0 = (ratio * a - w) / (ratio - 1)
        b = (SOFTENING - WORKING) * (s - t0) * (w - t0) / (w - s)
        return WORKING - b / (w - t0), b, t0

    def viscosity(self, temperature_c: V) -> V:
        """The power of ten of the viscosity in dPa·s.

        log10 η = A + B / (T − T0) (Vogel 1921, Fulcher 1925, Tammann & Hesse 1926).
        """
        a, b, t0 = self.constants
        return a + b / (temperature_c - t0)


FLINT = Glass(1030.0, 720.0, 545.0)
AMBER = Glass(1018.0, 715.0, 543.0)
"""Usual temperatures of container glasses; amber is a little softer."""


def gob_mass(pull_t_h: V, cuts_per_minute: V, stiffer: V) -> V:
    """Grams in a gob: what the furnace gives over the cuts, less where the glass is stiffer by a power of ten."""
    return pull_t_h * 1e6 / (60 * cuts_per_minute * GOBS) * (1 - FEEDER * stiffer)


def cooling_stress(cooling_k_s: V) -> V:
    """The tension, in MPa, that stays in the middle of a wall cooled at this rate through its annealing range.

    E α / (1 − ν) · R d² / (24 κ), the parabolic profile of a plate (Gardon 1980, in Glass: Science and Technology 5).
    """
    profile_k = cooling_k_s * WALL_M**2 / (24 * DIFFUSIVITY_M2_S)
    return YOUNG_PA * EXPANSION_PER_K / (1 - POISSON) * profile_k / 1e6
