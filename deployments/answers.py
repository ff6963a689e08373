"""Predictions for a file, written to a file."""

from datetime import datetime
from io import BytesIO
from pathlib import Path

import polars as pl

from data.files import write_whole
from data.sources import read_arrival
from deployments.kinds import kind_of, read_any_line
from deployments.predicting import Predicted
from deployments.settings import Settings


def predict_file(pipeline: Path, settings: Settings, file: Path, output: Path, at: datetime) -> Predicted:
    """Predict a file's rows or signals with the champion, and write the answers as CSV or Parquet, by its suffix.

    Of an embedding a CSV has a column each number, `embedding.1` and so on.

    Raises ValueError, naming the file and what is wrong, for what cannot be read, predicted or written.
    """
    if output.suffix not in (".csv", ".parquet"):
        raise ValueError(f"cannot write {output}: its name must end in .csv or .parquet")
    predicted = kind_of(read_any_line(pipeline, settings)).predict(read_arrival(file), at)
    content = BytesIO()
    if output.suffix == ".csv":
        _without_lists(predicted.frame).write_csv(content)
    else:
        predicted.frame.write_parquet(content)
    write_whole(output, content.getvalue())
    return predicted


def _without_lists(frame: pl.DataFrame) -> pl.DataFrame:
    for name in [name for name, dtype in frame.schema.items() if isinstance(dtype, pl.List)]:
        numbers = range(1, frame[name].list.len().max() + 1)  # pyright: ignore
        frame = frame.with_columns(pl.col(name).list.get(i - 1).alias(f"{name}.{i}") for i in numbers).drop(name)
    return frame
