"""Evidently's page on drift, for people: drawn from a sample, never decided by."""

import os
from collections.abc import Sequence
from pathlib import Path

import polars as pl

MOST_ROWS = 10_000


def write_drift_page(
    reference: pl.DataFrame, current: pl.DataFrame, columns: Sequence[str], path: Path, seed: int
) -> None:
    """Write Evidently's page on some columns of a batch against rows that the champion learned from.

    A column without readings on one side is left out: Evidently refuses it.
    """
    os.environ.setdefault("DO_NOT_TRACK", "1")
    # Importing Evidently takes seconds, so only who draws the page pays for it.
    from evidently import Report
    from evidently.presets import DataDriftPreset

    shown = [c for c in columns if all(frame[c].null_count() < frame.height for frame in (reference, current))]
    now, before = (_sample(frame.select(shown), seed).to_pandas() for frame in (current, reference))
    snapshot = Report([DataDriftPreset(num_method="wasserstein")], include_tests=False).run(now, before)
    path.parent.mkdir(parents=True, exist_ok=True)
    snapshot.save_html(str(path))


def _sample(frame: pl.DataFrame, seed: int) -> pl.DataFrame:
    return frame if frame.height <= MOST_ROWS else frame.sample(MOST_ROWS, seed=seed)
