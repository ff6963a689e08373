"""How far a signal lies from all that is healthy, and when that is an alarm.

Shapes: N signals, M references, E numbers of an embedding.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from monitoring.conformal import conformal_threshold
from monitoring.similarity import Floats, Search


@dataclass(frozen=True)
class Anomalies:
    """How unlike all that is healthy signals are.

    scores_N: the distance to the k-th nearest healthy embedding, in [0, 2]. alarms_N: whether it is over the threshold.
    """

    scores_N: NDArray[np.float64]
    alarms_N: NDArray[np.bool_]


@dataclass(frozen=True)
class HealthyReference:
    """Healthy embeddings, and the distance from them that only a stated share of healthy signals exceeds."""

    healthy: Search
    neighbours: int
    threshold: float

    def judge(self, embeddings_NE: Floats) -> Anomalies:
        """Score signals by their embeddings, and say which are an alarm; raises ValueError as a search does."""
        distances_NK = self.healthy.nearest(embeddings_NE, self.neighbours).distances_QK
        if (there := distances_NK.shape[1]) < self.neighbours:
            raise ValueError(
                f"{self.neighbours} neighbours among {there} healthy embeddings; allowed is 1 to all of them"
            )
        scores_N = distances_NK[:, -1]
        return Anomalies(scores_N, scores_N > self.threshold)


def fit_healthy(
    healthy: Search, calibration_NE: Floats, false_alarms: float = 0.01, neighbours: int = 5
) -> HealthyReference:
    """A reference that raises an alarm on at most this share of fresh healthy signals.

    healthy: an index of healthy embeddings. calibration_NE: of other healthy signals, exchangeable with those to come;
    of the same sessions as the reference they would be too near.
    Raises ValueError for too few of them, for more neighbours than there are healthy embeddings, and as a search does.
    """
    uncalibrated = HealthyReference(healthy, neighbours, np.inf)
    scores_N = uncalibrated.judge(calibration_NE).scores_N
    return HealthyReference(healthy, neighbours, conformal_threshold(scores_N, 1 - false_alarms))
