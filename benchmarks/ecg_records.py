"""The heart beats that are learned from and judged, and what their annotations are worth.

Shapes: N beats, K keypoints.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from data.signals import Signals
from monitoring.keypoint_errors import keypoint_errors

MS_PER_SAMPLE = 4.0
TEST_RECORDS = 20
JUDGED = ("p_peak", "qrs_on", "qrs_off", "t_peak", "t_off")
FIVE_BEATS_MS = {"p_peak": 8.0, "qrs_on": 8.2, "qrs_off": 9.0, "t_peak": 11.9, "t_off": 17.1}
"""What the mean of five labelled beats of the very record reaches over all 69 records."""

AUTOMATIC_WEIGHT = 0.3
"""What an automatic annotation counts beside a manual one, once its record's bias was taken off."""

AUTOMATIC_SESSIONS = 2


def records_of(signals: Signals, part: Literal["test", "development"]) -> tuple[list[str], list[str]]:
    """The records to learn from and those to look at."""
    drawn = np.random.default_rng(0).permutation(np.unique(signals.element_ids_N)).tolist()
    test, development = drawn[:TEST_RECORDS], drawn[TEST_RECORDS:]
    if part == "test":
        return development, test
    return [record for record in development if record not in development[::3]], development[::3]


def of_records(signals: Signals, records: Sequence[str]) -> Signals:
    """The signals of some records."""
    return signals.take(np.isin(signals.element_ids_N, records))


def recalibrated(signals: Signals) -> Signals:
    """Automatic annotations moved so that their median distance to the R peak is that of the record's manual ones.

    Where a record has no manual annotation of a keypoint there is nothing to move by: the automatic ones are left out.
    """
    keypoints = {name: positions_N.copy() for name, positions_N in signals.keypoints.items()}
    manual_N, r_N = signals.annotators_N == "manual", signals.keypoints["r_peak"]
    for record in np.unique(signals.element_ids_N):
        of_record_N = signals.element_ids_N == record
        for name in JUDGED:
            behind_N = signals.keypoints[name] - r_N
            manual, automatic = of_record_N & manual_N, of_record_N & ~manual_N
            keypoints[name][automatic] += _median(behind_N[manual]) - _median(behind_N[automatic])
    for positions_N in keypoints.values():
        positions_N[~((positions_N >= 0) & (positions_N <= signals.lengths_N - 1))] = np.nan
    return replace(signals, keypoints=keypoints).weighed({"auto": AUTOMATIC_WEIGHT})


def thinned(signals: Signals, seed: int) -> Signals:
    """Each record's manual beats, and the automatic ones of two sessions that have none: manual ones count for more."""
    generator = np.random.default_rng(seed)
    kept_N = signals.annotators_N == "manual"
    for record in np.unique(signals.element_ids_N):
        of_record_N = signals.element_ids_N == record
        known = np.unique(signals.sessions_N[of_record_N & kept_N])
        others = np.setdiff1d(signals.sessions_N[of_record_N], known)
        drawn = generator.permutation(others)[:AUTOMATIC_SESSIONS]
        kept_N = kept_N | (of_record_N & np.isin(signals.sessions_N, drawn))
    return signals.take(kept_N)


def error_ms(predicted_NK: NDArray[Any], signals: Signals) -> dict[str, float]:
    """The mean absolute error of each keypoint, in milliseconds."""
    errors_K = MS_PER_SAMPLE * np.nanmean(keypoint_errors(predicted_NK, signals.keypoints), axis=0)
    return {name: float(error) for name, error in zip(signals.keypoints, errors_K, strict=True)}


def manual(signals: Signals) -> Signals:
    """The beats that a cardiologist annotated."""
    return signals.take(signals.annotators_N == "manual")


def five_beats_ms(signals: Signals) -> dict[str, float]:
    """The error of the mean distance to R over each record's first five manual beats, on its other beats."""
    truth = manual(signals)
    errors: dict[str, list[NDArray[Any]]] = {name: [] for name in JUDGED}
    for record in np.unique(truth.element_ids_N):
        beats = of_records(truth, [record])
        for name in JUDGED:
            behind_N = beats.keypoints[name] - beats.keypoints["r_peak"]
            errors[name].append(np.abs(behind_N[5:] - _mean(behind_N[:5])))
    return {name: MS_PER_SAMPLE * _mean(np.concatenate(found)) for name, found in errors.items()}


def _median(values_N: NDArray[Any]) -> float:
    known_N = values_N[~np.isnan(values_N)]
    return float(np.median(known_N)) if len(known_N) else float("nan")


def _mean(values_N: NDArray[Any]) -> float:
    known_N = values_N[~np.isnan(values_N)]
    return float(known_N.mean()) if len(known_N) else float("nan")
