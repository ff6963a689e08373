"""Predictions for a file, written to a file."""

from datetime import datetime
from io import BytesIO
from pathlib import Path

from data.files import write_whole
from data.inputs import read_inputs
from data.sources import read_arrival
from deployments.line import read_line
from deployments.predicting import Predicted, predict
from deployments.settings import Settings


def predict_file(pipeline: Path, settings: Settings, file: Path, output: Path, at: datetime) -> Predicted:
    """Predict a file's rows with the champion, and write the answers as CSV or Parquet, by the output's suffix.

    Raises ValueError, naming the file and what is wrong, for what cannot be read, predicted or written.
    """
    if output.suffix not in (".csv", ".parquet"):
        raise ValueError(f"cannot write {output}: its name must end in .csv or .parquet")
    line, arrival = read_line(pipeline, settings), read_arrival(file)
    inputs = read_inputs(arrival, line.schema, line.window_length)
    predicted = predict(line, inputs, at, arrival.name, arrival.id)
    content = BytesIO()
    if output.suffix == ".csv":
        predicted.frame.write_csv(content)
    else:
        predicted.frame.write_parquet(content)
    write_whole(output, content.getvalue())
    return predicted
