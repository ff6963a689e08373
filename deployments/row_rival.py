"""Another version beside the champion, on the labelled rows of a batch.

Shapes: B labelled samples of one batch, in order of time.
"""

import polars as pl

from data.windows import make_samples
from deployments.champions import version_of
from deployments.line import Line
from deployments.rivalry import Beside
from monitoring.performance import row_losses, score
from monitoring.wager import Floats


def beside_on_rows(line: Line, rival: int, rows: pl.DataFrame, losses_B: Floats, score_champion: float) -> Beside:
    """A version on rows that the champion scored; losses_B: the champion's on their samples."""
    version, metric = version_of(line, rival), line.config.metric
    samples = make_samples(rows, line.schema, line.window_length, version.classes, keep_unknown=True)
    predictions, targets_B = version.model.predict_samples(samples), samples.targets_B.numpy()
    of_rival_B = row_losses(metric, predictions, targets_B)
    return Beside(losses_B, of_rival_B, score_champion, score(metric, predictions, targets_B))
