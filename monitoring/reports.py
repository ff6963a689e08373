"""Evidently's page on drift, for people: drawn from a sample, never decided by."""

import os
import warnings
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
    shown = [c for c in columns if all(frame[c].null_count() < frame.height for frame in (reference, current))]
    now, before = (_sample(frame.select(shown), seed).to_pandas() for frame in (current, reference))
    path.parent.mkdir(parents=True, exist_ok=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Evidently's own dependencies deprecate one another
        # Importing Evidently takes seconds, so only who draws the page pays for it.
        from evidently import Report
        from evidently.presets import DataDriftPreset

        snapshot = Report([DataDriftPreset(num_method="wasserstein")], include_tests=False).run(now, before)
        snapshot.save_html(str(path))


def _sample(frame: pl.DataFrame, seed: int) -> pl.DataFrame:
    return frame if frame.height <= MOST_ROWS else frame.sample(MOST_ROWS, seed=seed)
