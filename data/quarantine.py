"""Where refused rows and batches are kept, each with its reason."""

import json
import re
import shutil
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path

import polars as pl

from data.files import sync_folder, write_whole
from data.sources import Arrival


def quarantine_rows(folder: Path, batch_id: str, frame: pl.DataFrame, reasons: Mapping[int, str]) -> Path:
    """Write the rows at the indices of `reasons` to `<batch_id>.parquet`, with a column `reason`.

    `lehr_row`, the row in the delivered file from 1, is added where the frame lacks it. A batch that was quarantined
    before is written again, whole. Raises ValueError where there is no row to write.
    """
    if not reasons:
        raise ValueError(f"batch {batch_id}: there are no rows to quarantine")
    if "lehr_row" not in frame.columns:
        frame = frame.with_columns(pl.int_range(1, frame.height + 1, dtype=pl.Int32).alias("lehr_row"))
    rows = sorted(reasons)
    refused = frame[rows].with_columns(pl.Series("reason", [reasons[r] for r in rows], dtype=pl.String))
    content = BytesIO()
    refused.write_parquet(content)
    finished = folder / f"{batch_id}.parquet"
    write_whole(finished, content.getvalue())
    return finished


def quarantine_batch(folder: Path, arrival: Arrival, reason: str) -> Path:
    """Keep the delivered bytes and `reason.json` in a folder named after the batch's id; returns that folder.

    The folder is there whole or not at all; a batch that was quarantined before stays as it is.
    """
    finished = folder / arrival.id
    if finished.is_dir():
        return finished
    part = folder / f".{arrival.id}.part"
    shutil.rmtree(part, ignore_errors=True)
    note = {"batch": arrival.id, "name": arrival.name, "format": arrival.format, "reason": reason}
    write_whole(part / _file_name(arrival), arrival.content)
    write_whole(part / "reason.json", (json.dumps(note, indent=2, ensure_ascii=False) + "\n").encode())
    part.replace(finished)
    sync_folder(folder)
    return finished


def _file_name(arrival: Arrival) -> str:
    """`line.csv[3]` → `line_3.csv`: a name that opens in the program for its suffix, and is no path."""
    stem = re.sub(r"(\.csv\.gz|\.csv|\.parquet|\.npz)(?=\[|$)", "", Path(arrival.name).name, flags=re.IGNORECASE)
    return f"{re.sub(r'[^A-Za-z0-9._-]+', '_', stem).strip('._') or 'batch'}.{arrival.format}"
