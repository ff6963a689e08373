"""What the events of a scenario do to a block of a line: to its processes, its readings and its labels.

Everything random comes from a generator of the event's own and of the block, so that no event changes what another
does, nor the line beneath. Shapes: T rows of a block.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from data.plant import Values
from data.scenario import (
    LINE_TEMPERATURES,
    Abrupt,
    AnyEvent,
    Drift,
    Event,
    Fahrenheit,
    Gradual,
    Incremental,
    Missing,
    Noisy,
    Offset,
    PoisonedLabels,
    Recurring,
    Scaled,
    Stuck,
    Swapped,
)

SLOT_ROWS = 32
"""While a gradual drift lasts, the line runs as before or as after for so many rows at a time."""

Readings = NDArray[np.float32]
Codes = NDArray[np.int64]
Rng = np.random.Generator


@dataclass
class Instruments:
    """What faulty instruments remember from block to block, and how wide each sensor usually spreads.

    held: by the number of an event, what a stuck sensor says.
    """

    deviations: Mapping[str, float]
    held: dict[int, float] = field(default_factory=dict[int, float])


def level(drift: Drift, rows_T: Codes, rng: Rng) -> Values:
    """How far a drift has come at each row, in deviations."""
    since_T = rows_T - drift.start
    match drift:
        case Abrupt():
            share_T = within(drift, rows_T)
        case Recurring():
            share_T = within(drift, rows_T) & (since_T % drift.period < drift.period // 2)
        case Gradual():
            share_T = rng.random(-(-len(rows_T) // SLOT_ROWS)).repeat(SLOT_ROWS)[: len(rows_T)] < _progress(
                drift, since_T
            )
        case Incremental():
            share_T = np.floor(drift.steps * _progress(drift, since_T)) / drift.steps
    return drift.strength * share_T.astype(np.float64)


def within(event: Event, rows_T: Codes) -> NDArray[np.bool_]:
    """The rows at which an event acts; those of a transition go on when it has arrived."""
    end = event.end if event.ends_itself else None
    return (rows_T >= event.start) & (True if end is None else rows_T < end)


def touches(event: Event, first: int, last: int) -> bool:
    """Whether an event acts at any row from first to last."""
    return event.start <= last and (not event.ends_itself or event.end is None or event.end > first)


def misread(
    event: AnyEvent, number: int, read: dict[str, Readings], rows_T: Codes, instruments: Instruments, rng: Rng
) -> None:
    """Change what the instruments say, in place; events that are none of an instrument change nothing."""
    hit_T = within(event, rows_T)
    match event:
        case Stuck():
            if event.start in rows_T:
                instruments.held[number] = float(read[event.sensor][event.start - rows_T[0]])
            read[event.sensor][hit_T] = instruments.held[number]
        case Swapped():
            ours, theirs = read[event.sensor], read[event.other]
            ours[hit_T], theirs[hit_T] = theirs[hit_T], ours[hit_T]
        case Noisy():
            noise_T = rng.standard_normal(len(rows_T), dtype=np.float32)
            read[event.sensor][hit_T] += (event.strength * instruments.deviations[event.sensor] * noise_T)[hit_T]
        case Offset():
            read[event.sensor][hit_T] += event.strength * instruments.deviations[event.sensor]
        case Scaled():
            read[event.sensor][hit_T] *= event.strength
        case Fahrenheit():
            for sensor in LINE_TEMPERATURES if event.sensor is None else (event.sensor,):
                read[sensor][hit_T] = read[sensor][hit_T] * 1.8 + 32
        case Missing():
            for sensor in read if event.sensor is None else (event.sensor,):
                lost_T = rng.random(len(rows_T), dtype=np.float32) < event.strength
                read[sensor][hit_T & lost_T] = np.nan
        case Abrupt() | Gradual() | Incremental() | Recurring():
            if event.sensor is not None:
                read[event.sensor] += level(event, rows_T, rng) * instruments.deviations[event.sensor]
        case _:
            pass


def mislabel(event: AnyEvent, codes_T: Codes, labels: tuple[str, ...], rows_T: Codes, rng: Rng) -> Codes:
    """The labels as inspection writes them down."""
    if not isinstance(event, PoisonedLabels):
        return codes_T
    wrong_T = within(event, rows_T) & (rng.random(len(rows_T)) < event.strength)
    other_T = (codes_T + rng.integers(1, len(labels), len(rows_T))) % len(labels)
    said_T = other_T if event.to is None else np.full_like(codes_T, labels.index(event.to))
    return np.where(wrong_T, said_T, codes_T)


def _progress(drift: Gradual | Incremental, since_T: Codes) -> Values:
    assert drift.duration is not None, "a transition has a duration"
    return np.clip((since_T + 1) / drift.duration, 0, 1)
