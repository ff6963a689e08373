"""How channels follow one another within batches, pooled over all that came.

Shapes: N rows, F features.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from monitoring.sketches import BatchSketch, Floats

MEMORY = 0.9
"""What a batch's share of the pooled relations keeps with each later batch."""
RIDGE = 0.01
LEAST_SCATTER = 0.05
"""In deviations: channels that the others say all of scatter so far, give or take, for nothing worth a word."""


@dataclass(frozen=True)
class Relations:
    """Covariances of rows and of block means (`monitoring.sketches`), summed over batches and slowly forgotten.

    weight: how many batches they are the sum of. pooled_rows: of how many rows. freedom: of the block means.
    """

    within_FF: Floats
    slow_FF: Floats
    weight: float
    pooled_rows: float
    freedom: float

    @cached_property
    def deviation_F(self) -> Floats:
        """Each channel's deviation within a batch."""
        variance_F = np.diag(self.within_FF) / self.weight
        return np.sqrt(np.where(variance_F > 0, variance_F, 1.0))

    @cached_property
    def relations_FF(self) -> Floats:
        """Correlations within batches, with a little ridge."""
        return self.correlations_FF + RIDGE * np.eye(len(self.deviation_F))

    @cached_property
    def correlations_FF(self) -> Floats:
        """Correlations within batches."""
        return self.within_FF / self.weight / np.outer(self.deviation_F, self.deviation_F)

    @cached_property
    def doubt_FF(self) -> Floats:
        """Variance of the correlations within batches: slow channels show few independent rows."""
        inflated_F = np.clip(np.diag(self.slow_FF) / np.maximum(np.diag(self.within_FF), 1e-300), 1, self.pooled_rows)
        memory_F = (inflated_F - 1) / (inflated_F + 1)
        both_FF = np.outer(memory_F, memory_F)
        independent_FF = np.maximum(3.0, self.pooled_rows * (1 - both_FF) / (1 + both_FF))
        return (1 - np.minimum(1, self.relations_FF**2)) / independent_FF

    @cached_property
    def slow_per_row_FF(self) -> Floats:
        """Divided by a batch's rows: the covariance, in deviations, of its mean, whatever the autocorrelation."""
        scale_F, features = self.deviation_F, len(self.deviation_F)
        slow_FF = self.slow_FF / self.weight / np.outer(scale_F, scale_F)
        trust = self.freedom / (self.freedom + features)
        slow_F = np.sqrt(np.diag(slow_FF))
        return trust * slow_FF + (1 - trust) * np.outer(slow_F, slow_F) * self.relations_FF

    def said_by_others(self, without: Sequence[int] = ()) -> tuple[Floats, Floats]:
        """Weights that take from each channel what the others say, (F, F), and the share of it that they leave, (F,).

        Regression of each channel on the others by the inverse of their correlations. without: those that say nothing.
        """
        precision_FF = np.asarray(np.linalg.inv(self.relations_FF), dtype=np.float64)
        for gone in without:
            lost_F = precision_FF[gone] / np.sqrt(precision_FF[gone, gone])
            precision_FF = precision_FF - np.outer(lost_F, lost_F)
            precision_FF[gone], precision_FF[:, gone], precision_FF[gone, gone] = 0.0, 0.0, 1.0
        left_F = 1 / np.diag(precision_FF)
        return precision_FF * left_F[:, None], left_F

    def stray_weights(self, without: Sequence[int] = ()) -> Floats:
        """What takes from each channel what the others say, in what usually is left, (F, F)."""
        weights_FF, _ = self.said_by_others(without)
        usual_F = np.einsum("fg,gh,fh->f", weights_FF, self.correlations_FF, weights_FF)
        return weights_FF / np.sqrt(usual_F + LEAST_SCATTER**2)[:, None]

    def after(self, batch: BatchSketch) -> "Relations":
        """With one batch more."""
        return Relations(
            within_FF=MEMORY * self.within_FF + batch.within_FF,
            slow_FF=MEMORY * self.slow_FF + batch.slow_FF,
            weight=MEMORY * self.weight + 1,
            pooled_rows=MEMORY * self.pooled_rows + batch.rows,
            freedom=MEMORY * self.freedom + batch.slow_freedom,
        )


def first_relations(batch: BatchSketch) -> Relations:
    """Those within one batch."""
    return Relations(batch.within_FF, batch.slow_FF, 1.0, float(batch.rows), batch.slow_freedom)
