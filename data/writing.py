"""A synthetic line as files that could have arrived."""

from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import polars as pl

from data.stream import LineBatch


def write_frame(frame: pl.DataFrame, path: Path) -> None:
    """Write a frame as the file's ending says; raises ValueError for another than .csv and .parquet."""
    path.parent.mkdir(parents=True, exist_ok=True)
    match path.suffix:
        case ".csv":
            frame.write_csv(path, datetime_format="%Y-%m-%d %H:%M:%S")
        case ".parquet":
            frame.write_parquet(path)
        case other:
            raise ValueError(f"{path}: a file ends in .csv or .parquet, not in {other!r}")


def write_batches(line: Iterator[LineBatch], batches: int, folder: Path) -> pl.DataFrame:
    """Write so many batches, each a CSV file, and labels that come later as files beside it; returns their truth."""
    if batches < 1:
        raise ValueError("there is not one whole batch in so few rows")
    truths: list[pl.DataFrame] = []
    for batch in islice(line, batches):
        write_frame(batch.rows, folder / f"line-{batch.number:04}.csv")
        if batch.late_labels.height:
            write_frame(batch.late_labels, folder / f"line-{batch.number:04}-labels.csv")
        truths.append(batch.truth)
    return pl.concat(truths)
