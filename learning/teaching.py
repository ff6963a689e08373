"""Keypoints that trained networks find in place of annotations that are noisy: what a student learns from.

Shapes: N signals.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from data.consensus import agreed_positions
from data.signals import Signals
from learning.representation import represent
from models.hierarchical import HierarchicalSignalNet


def taught(
    signals: Signals, teachers: Sequence[HierarchicalSignalNet], annotators: Sequence[str], own: float = 0.5
) -> Signals:
    """The same signals, whose keypoints by these annotators lie where the teachers find them.

    It is the mean over teachers, drawn towards what a session agrees on (`own`: see `agreed_positions`). What was not
    annotated stays so, and so does every other annotator's keypoint; what is found outside a signal is not known.
    Distillation from an ensemble (Hinton et al. 2015) on noisily labelled data (Xie et al. 2020). Raises ValueError
    for no teacher, and for teachers of other keypoints.
    """
    if not teachers:
        raise ValueError("signals are taught by one network or more; none was given")
    for teacher in teachers:
        if teacher.keypoints != tuple(signals.keypoints):
            raise ValueError(f"a teacher finds {teacher.keypoints}; the signals have {tuple(signals.keypoints)}")
    read = [represent(teacher, signals).positions for teacher in teachers]
    found = {name: np.mean([positions[name] for positions in read], axis=0) for name in signals.keypoints}
    noisy_N = np.isin(signals.annotators_N, annotators)
    keypoints = dict(signals.keypoints)
    for name, agreed_N in agreed_positions(found, signals.sessions_N, own).items():
        inside_N = (agreed_N >= 0) & (agreed_N <= signals.lengths_N - 1) & ~np.isnan(keypoints[name])
        said_N = np.where(inside_N, agreed_N, np.float32(np.nan))
        keypoints[name] = np.where(noisy_N, said_N, keypoints[name])
    return replace(signals, keypoints=keypoints)
