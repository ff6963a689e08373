"""What is served, watched for drift before any label comes.

Shapes: N rows, B samples, L window length, C features.
"""

from dataclasses import dataclass
from datetime import datetime

import numpy as np
import polars as pl
from numpy.typing import NDArray

from data.served_inputs import ID, STEP, read_inputs_served
from deployments.champions import champion_of
from deployments.line import Line
from monitoring.drift import DriftReport, check_drift

MOST_FILES = 5_000
"""So many of the newest records are looked at: a busy service writes hundreds of thousands a day."""


@dataclass(frozen=True)
class ServedDrift:
    """The champion's predictions since it went into production, and how their readings lie beside its reference."""

    version: int
    since: datetime
    samples: int
    report: DriftReport


def watch_served(line: Line) -> ServedDrift | None:
    """Compare what the champion was asked since it went into production with its reference; None before any.

    Of very much only the latest counts, and of a window the last row, as windows that follow one another share the
    others. Looked at once a day, the budget of false alarms a year is the pipeline's, for every look is held to a
    year's share of it.
    """
    champion, promotion = champion_of(line), line.ledger.champion(line.name)
    if champion is None or promotion is None:
        return None
    kept = whole_windows(line, read_inputs_served(line.folder, promotion.at, champion.number, MOST_FILES))
    if kept is None:
        return None
    predictions = champion.model.predict(samples_of(line, kept))
    last = kept.filter(pl.col(STEP) == pl.col(STEP).max().over(ID))
    rows = last.select(line.schema.features).with_columns(
        pl.lit(None, line.schema.label_type).alias(line.schema.target)
    )
    report, _ = check_drift(
        champion.reference, None, rows, line.schema, predictions, np.arange(rows.height), line.config.drift
    )
    return ServedDrift(champion.number, promotion.at, rows.height, report)


def whole_windows(line: Line, kept: pl.DataFrame | None) -> pl.DataFrame | None:
    """The samples of the pipeline's length; None where there is none."""
    whole = None if kept is None else kept.filter(pl.len().over(ID) == line.window_length)
    return None if whole is None or whole.is_empty() else whole


def samples_of(line: Line, rows: pl.DataFrame) -> NDArray[np.float32]:
    """Rows in their order as (B, C), or (B, L, C); windows of one length only."""
    readings_NC = rows.select(pl.col(line.schema.features).fill_null(np.nan)).to_numpy().astype(np.float32)
    if line.window_length == 1:
        return np.ascontiguousarray(readings_NC)
    return np.ascontiguousarray(readings_NC.reshape(rows[ID].n_unique(), -1, readings_NC.shape[1]))
