"""How instruments fail: what a faulty sensor writes down instead of what it measures. Shapes: T rows of a batch."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]

FaultKind = Literal["stuck", "offset", "gain", "drift", "noise", "spikes", "dead", "swapped"]
FAULT_KINDS: tuple[FaultKind, ...] = get_args(FaultKind)

SPIKE_SHARE = 0.03
SPAN = 3.0
"""A gain error turns a sensor's scale about a point so many deviations below its mean."""


@dataclass(frozen=True)
class Fault:
    """One sensor's fault in one batch.

    severity: in deviations of the sensor: how far an offset lies off and a drift ends off, how wide noise scatters,
    how high spikes reach; a gain error lies so far off at the sensor's mean. Stuck, dead and swapped have none.
    start: the share of the batch that is still sound. begun: how far a drift had come when the batch began.
    other: the sensor that a swapped one changes places with.
    """

    kind: FaultKind
    sensor: str
    severity: float = 0.0
    start: float = 0.0
    begun: float = 0.0
    other: str | None = None

    @property
    def sensors(self) -> tuple[str, ...]:
        """All whose readings are wrong."""
        return (self.sensor,) if self.other is None else (self.sensor, self.other)

    def first_row(self, rows: int) -> int:
        """The first of so many rows that is faulty."""
        return min(rows - 1, int(self.start * rows))


def apply_fault(readings: Mapping[str, Values], fault: Fault, rng: np.random.Generator) -> dict[str, Values]:
    """All sensors' readings, (T,) each, with the fault in them; NaN where a dead sensor reads nothing.

    Raises ValueError for a swap that does not say with which sensor.
    """
    true_T = readings[fault.sensor]
    first = fault.first_row(len(true_T))
    if fault.kind == "swapped":
        if fault.other is None:
            raise ValueError(f"{fault.sensor} is swapped: with which other sensor?")
        other_T = readings[fault.other]
        ours_T, theirs_T = true_T.copy(), other_T.copy()
        ours_T[first:], theirs_T[first:] = other_T[first:], true_T[first:]
        return {**readings, fault.sensor: ours_T, fault.other: theirs_T}
    read_T = true_T.copy()
    read_T[first:] = _misread(fault, true_T, rng)[first:]
    return {**readings, fault.sensor: read_T}


def _misread(fault: Fault, true_T: Values, rng: np.random.Generator) -> Values:
    rows, deviation = len(true_T), float(true_T.std())
    size = fault.severity * deviation
    match fault.kind:
        case "stuck":
            return np.full(rows, true_T[fault.first_row(rows)])
        case "offset":
            return true_T + size
        case "gain":
            zero = true_T.mean() - SPAN * deviation
            return zero + (1 + fault.severity / SPAN) * (true_T - zero)
        case "drift":
            first = fault.first_row(rows)
            path_T = np.clip((np.arange(rows) - first + 1) / (rows - first), 0, 1)
            return true_T + deviation * (fault.begun + (fault.severity - fault.begun) * path_T)
        case "noise":
            return true_T + size * rng.standard_normal(rows)
        case "spikes":
            hit_T = rng.random(rows) < SPIKE_SHARE
            hit_T[fault.first_row(rows)] = True
            return true_T + size * hit_T * rng.choice([-1.0, 1.0], rows)
        case _:
            return np.full(rows, np.nan)
