"""What else one could have done: a static first champion, a cumulative and a sliding retrain before each batch."""

import polars as pl
import torch

from data.samples import Samples
from data.windows import classes_of, make_samples
from deployments.candidates import plan_of
from deployments.champions import first_champion_of
from deployments.line import Line
from deployments.outcomes import Batch, Compared
from learning.learn import bootstrap
from learning.trainer import Cost
from monitoring.performance import Predictions, score

SLIDING_ROWS = 2_500


def compare(line: Line, batch: Batch) -> Compared:
    """Score on a stored batch what knew only the batches before it; all None before the first champion.

    The retrains start from fresh weights and learn from every row, held out or not: nobody judges them.
    """
    static = first_champion_of(line)
    if static is None:
        return Compared(None, None, None, 0, 0.0)
    rows = line.store.read(batches=range(1, batch.number + 1)).with_columns(pl.lit("all").alias("lehr_split"))
    before, now = rows.filter(pl.col("lehr_batch") < batch.number), rows.filter(pl.col("lehr_batch") == batch.number)
    classes = classes_of(before, line.schema)
    history = make_samples(before, line.schema, line.window_length, classes)
    ahead = make_samples(now, line.schema, line.window_length, classes, keep_unknown=True)
    own = make_samples(now, line.schema, line.window_length, static.classes, keep_unknown=True)
    if len(ahead) == 0:
        return Compared(None, None, None, 0, 0.0)
    latest = history.take(torch.arange(max(0, len(history) - SLIDING_ROWS), len(history)))
    cumulative, cost = _retrained_score(line, classes, history, ahead)
    sliding, _ = _retrained_score(line, classes, latest, ahead)
    return Compared(_score(line, static.model.predict_samples(own), own), cumulative, sliding, cost.samples, cost.seconds)


@torch.no_grad()
def _predict(line: Line, classes: list[str] | None, learned: Samples, ahead: Samples) -> tuple[Predictions, Cost]:
    with torch.enable_grad():
        candidate = bootstrap(plan_of(line, classes), learned)
    network = candidate.served()
    parts = torch.arange(len(ahead)).split(4096)
    return torch.cat([network(ahead.inputs(part)) for part in parts]).numpy(), candidate.cost


def _retrained_score(line: Line, classes: list[str] | None, learned: Samples, ahead: Samples) -> tuple[float, Cost]:
    predictions, cost = _predict(line, classes, learned, ahead)
    return _score(line, predictions, ahead), cost


def _score(line: Line, predictions: Predictions, samples: Samples) -> float:
    return score(line.config.metric, predictions, samples.targets_B.numpy())
