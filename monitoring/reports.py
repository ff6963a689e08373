"""Evidently's page on drift, for people: drawn from a sample, never decided by."""

import os
from pathlib import Path

import polars as pl

from data.schema import Schema

MOST_ROWS = 10_000


def write_drift_page(
    reference: pl.DataFrame, current: pl.DataFrame, schema: Schema, path: Path, seed: int
) -> tuple[str, ...]:
    """Write Evidently's page on a batch against rows that the champion learned from; returns the columns left out.

    A column without readings on one side is left out: Evidently refuses it.
    """
    os.environ.setdefault("DO_NOT_TRACK", "1")
    # Importing Evidently takes seconds, so only who draws the page pays for it.
    from evidently import Report
    from evidently.presets import DataDriftPreset

    columns = [*schema.features, schema.target]
    empty = tuple(c for c in columns if reference[c].null_count() == reference.height or current[c].null_count() == current.height)
    shown = [c for c in columns if c not in empty]
    frames = [_sample(frame.select(shown), seed).to_pandas() for frame in (current, reference)]
    snapshot = Report([DataDriftPreset(num_method="wasserstein")], include_tests=False).run(*frames)
    path.parent.mkdir(parents=True, exist_ok=True)
    snapshot.save_html(str(path))
    return empty


def _sample(frame: pl.DataFrame, seed: int) -> pl.DataFrame:
    return frame if frame.height <= MOST_ROWS else frame.sample(MOST_ROWS, seed=seed)
