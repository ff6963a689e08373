"""Readings that predictions were served for, kept by receipt: for drift before labels come, and for the labels.

Shapes: B samples, L window length, C features.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from io import BytesIO
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from data.files import write_whole

ID = "prediction_id"
STEP = "lehr_step"
"""Of a window's rows, from 1; the last is the one that was predicted for."""
VERSION, AT = "lehr_version", "lehr_at"


@dataclass(frozen=True)
class Answered:
    """Samples, in parts of (B, C) or (B, L, C), that one version answered under the numbers from 1 of a request."""

    request: str
    at: datetime
    version: int
    features: Sequence[str]
    parts: Sequence[NDArray[np.float32]]


def keep_inputs(folder: Path, answered: Answered, share: float) -> int:
    """Keep a share of the samples, the same ones whoever asks; returns how many. folder: the pipeline's."""
    chosen_B = chosen(answered.request, sum(map(len, answered.parts)), share)
    frames, first = list[pl.DataFrame](), 0
    for part in answered.parts:
        kept_B = np.flatnonzero(chosen_B[first : first + len(part)])
        if len(kept_B):
            frames.append(_frame(answered, part[kept_B], kept_B + first + 1))
        first += len(part)
    if frames:
        content = BytesIO()
        pl.concat(frames).write_parquet(content, compression="lz4", statistics=False)
        write_whole(_folder(folder) / f"{answered.at:%Y-%m-%d}" / f"{answered.request}.parquet", content.getvalue())
    return int(chosen_B.sum())


def _frame(answered: Answered, part: NDArray[np.float32], numbers_B: NDArray[np.int64]) -> pl.DataFrame:
    """A row a reading's time: of a sample that is a row one, of a window all of its rows."""
    samples, length = len(part), part.shape[1] if part.ndim == 3 else 1
    readings = pl.DataFrame(part.reshape(samples * length, -1), schema=list(answered.features))
    ids_B = pl.Series(ID, [f"{answered.request}-{number}" for number in numbers_B], pl.String)
    ids = ids_B.gather(np.repeat(np.arange(samples), length))
    steps = pl.Series(STEP, np.tile(np.arange(1, length + 1), samples), pl.Int32)
    noted = [pl.lit(answered.version, pl.Int32).alias(VERSION), pl.lit(answered.at).alias(AT)]
    return pl.DataFrame([ids, steps, *readings.with_columns(pl.all().fill_nan(None))]).with_columns(noted)


def chosen(request: str, samples: int, share: float) -> NDArray[np.bool_]:
    """Which of a request's samples are kept: by the hash of each receipt's id, so that nobody can pick them."""
    if share >= 1 or share <= 0:
        return np.full(samples, share >= 1)
    hashes = (hashlib.sha256(f"{request}-{number}".encode()).digest()[:4] for number in range(1, samples + 1))
    return np.array([int.from_bytes(digest) < share * 2**32 for digest in hashes])


def read_inputs_served(
    folder: Path, since: datetime, version: int | None = None, most_files: int | None = None
) -> pl.DataFrame | None:
    """What was kept from a moment on, in order of time; None where there is nothing.

    version: by this one alone. most_files: of more only the newest, by when they were written.
    """
    files = files_served(folder, since)
    if most_files is not None and len(files) > most_files:
        files = sorted(files, key=lambda file: file.stat().st_mtime_ns)[-most_files:]
    frames = [frame for frame in map(pl.read_parquet, files) if frame[AT][0] >= since]
    if version is not None:
        frames = [frame for frame in frames if frame[VERSION][0] == version]
    return pl.concat(sorted(frames, key=lambda frame: frame[AT][0])) if frames else None


def files_served(folder: Path, since: datetime) -> list[Path]:
    """Where what was kept lies, from the day of a moment on."""
    days = sorted(_folder(folder).glob("????-??-??")) if _folder(folder).is_dir() else []
    return [file for day in days if day.name >= f"{since:%Y-%m-%d}" for file in day.glob("*.parquet")]


def read_requests(folder: Path, requests: Sequence[str]) -> pl.DataFrame | None:
    """What was kept of these requests; None where there is nothing."""
    wanted = {f"{request}.parquet" for request in requests}
    files = [file for file in sorted(_folder(folder).glob("????-??-??/*.parquet")) if file.name in wanted]
    return pl.concat([pl.read_parquet(file) for file in files]) if files else None


def labels_told(folder: Path) -> dict[str, str | float]:
    """The labels that were brought by receipt, by the receipt's id."""
    files = sorted((_folder(folder) / "labels").glob("*.parquet"))
    frames = [pl.read_parquet(file) for file in files]
    return {name: label for frame in frames for name, label in frame.iter_rows()}


def keep_labels(folder: Path, labels: pl.DataFrame, digest: str) -> None:
    """Note labels by receipt: two columns, the id and the label. digest: of the file that brought them."""
    content = BytesIO()
    labels.write_parquet(content)
    write_whole(_folder(folder) / "labels" / f"{digest}.parquet", content.getvalue())


def _folder(pipeline: Path) -> Path:
    return pipeline / "served"
