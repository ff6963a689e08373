"""Predictions with receipts: what the champion says about rows, recorded so that each can be explained.

Shapes: N rows, B predictions, C features, K classes.
"""

import hashlib
import json
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from io import BytesIO
from pathlib import Path

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray

from data.entries import Prediction
from data.files import write_whole
from data.inputs import ROW
from data.ledger import Ledger
from data.row_hashes import hash_readings, hash_whole_windows, hash_windows
from data.samples import Samples
from data.schema import Schema
from data.windows import make_samples
from deployments.champions import Version, version_of
from deployments.line import Line
from monitoring.performance import Predictions

_SAMPLES_AT_ONCE = 4096


@dataclass(frozen=True)
class Predicted:
    """An answered request: by which version, and one row a prediction.

    frame: `row`, group and timestamp where they are known, `prediction` (a class or a value), `probability` of the
    class, and `prediction_id`, by which `lehr explain` finds its receipt.
    """

    request: str
    version: int
    frame: pl.DataFrame


def predict(line: Line, inputs: pl.DataFrame, at: datetime, name: str = "rows", sha256: str | None = None) -> Predicted:
    """Predict every row of checked inputs (`data.inputs`) that ends a window, with the champion of this moment.

    One request is one row in the ledger and one small file with the hash of what was read for each prediction; both
    are on disk when this returns. Any number of processes may predict while the loop runs.
    name, sha256: what the rows came as, and its hash; None: that of the rows as they were read.
    Raises ValueError where nothing is in production, and where no row ends a whole window.
    """
    version = _in_production(line)
    windows = windows_of(inputs, line.schema, line.window_length, version.classes)
    predictions = version.model.predict_samples(windows.samples)
    record = record_of(windows.rows_B, windows.sha256_B, predictions, version.classes)
    digest = sha256 or hash_of(windows.sha256_B)
    version_sha256 = line.ledger.version_hash(line.name, version.number)
    origin = json.dumps([line.name, version_sha256, name, digest, at.isoformat()])
    request = hashlib.sha256(origin.encode()).hexdigest()[:20]
    asked = Asked(line.name, at, version.number, version_sha256, name, digest)
    keep_record(line.ledger, line.folder, request, asked, record)
    ids = pl.format("{}-{}", pl.lit(request), ROW).alias("prediction_id")
    given = inputs.select(c for c in (ROW, line.schema.group, line.schema.timestamp) if c in inputs.columns)
    answers = given.join(record.drop("row_sha256"), on=ROW).with_columns(ids)
    return Predicted(request, version.number, answers.sort(ROW))


@dataclass(frozen=True)
class Asked:
    """A request for predictions: of which version, and what came in."""

    pipeline: str
    at: datetime
    version: int
    version_sha256: str
    input_name: str
    input_sha256: str


def keep_record(ledger: Ledger, folder: Path, request: str, asked: Asked, record: pl.DataFrame) -> None:
    """Bring what was answered to disk, and into the ledger under the request's id.

    folder: the pipeline's.
    """
    content = BytesIO()
    record.write_parquet(content)
    digest = hashlib.sha256(content.getvalue()).hexdigest()
    noted = Prediction(request=request, rows=record.height, record_sha256=digest, **asdict(asked))
    write_whole(record_path(folder, noted), content.getvalue())
    ledger.record_prediction(noted)


def record_of(
    rows_B: NDArray[np.int64], sha256_B: list[bytes], predictions: Predictions, classes: list[str] | None
) -> pl.DataFrame:
    """What is kept of each answer: its row, the hash of what was read for it, and the answer."""
    rows = pl.Series(ROW, rows_B, pl.UInt32)
    return pl.DataFrame([rows, pl.Series("row_sha256", sha256_B, pl.Binary), *_answers(predictions, classes)])


def hash_of(sha256_B: list[bytes]) -> str:
    """The hash of inputs that came as rows rather than as a file."""
    return hashlib.sha256(b"".join(sha256_B)).hexdigest()


@dataclass(frozen=True)
class Windows:
    """The windows of an input: samples, the row that each ends with, and the hash of what it holds."""

    samples: Samples
    rows_B: NDArray[np.int64]
    sha256_B: list[bytes]


def windows_of(inputs: pl.DataFrame, schema: Schema, length: int, classes: list[str] | None) -> Windows:
    """The windows that end with each row of checked inputs; raises ValueError where there is none."""
    anything = pl.lit(classes[0]) if classes else pl.lit(0.0, pl.Float32)
    counted = pl.int_range(1, pl.len() + 1, dtype=pl.Int32).alias("lehr_row")
    frame = inputs.with_columns(
        counted, anything.alias(schema.target), pl.lit(1).alias("lehr_batch"), pl.lit("all").alias("lehr_split")
    )
    known = schema if schema.group in inputs.columns else replace(schema, group=None)
    samples = make_samples(frame, known, length, classes)
    if len(samples) == 0:
        raise ValueError(f"no group has the {length} rows of one window")
    ends_B = (samples.starts_B + length - 1).numpy()
    hashes_N = hash_readings(samples.rows_NC.numpy())
    return Windows(samples, inputs[ROW].to_numpy().astype(np.int64)[ends_B], hash_windows(hashes_N, ends_B, length))


def hash_samples(samples: Samples) -> list[bytes]:
    """The hash of each window as the service takes it, whole; of a row the row's own."""
    parts = torch.arange(len(samples)).split(_SAMPLES_AT_ONCE)
    return [digest for part in parts for digest in hash_whole_windows(samples.inputs(part).contiguous().numpy())]


def record_path(folder: Path, prediction: Prediction) -> Path:
    """Where a request's record lies in its pipeline's folder: row, hash of what was read, and what was answered."""
    return folder / "predictions" / f"{prediction.at:%Y-%m-%d}" / f"{prediction.request}.parquet"


def _in_production(line: Line) -> Version:
    champion = line.ledger.champion(line.name)
    if champion is None:
        raise ValueError(f"{line.name} has nothing in production yet: lehr run it first")
    return version_of(line, champion.version)


def _answers(predictions: Predictions, classes: list[str] | None) -> list[pl.Series]:
    if classes is None:
        return [pl.Series("prediction", predictions, pl.Float32)]
    best_B = predictions.argmax(1)
    labels = pl.Series("prediction", np.array(classes, dtype=object)[best_B], pl.String)
    return [labels, pl.Series("probability", predictions.max(1), pl.Float32)]
