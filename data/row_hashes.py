"""Hashes of rows: of each reading by itself, and of the rows of a batch by column; and of signals.

Shapes: N rows, B windows, C features or channels, T samples.
"""

import hashlib
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

SHOWN = 16
"""Hexadecimal digits of a column's hash: enough to say which column was changed."""


@dataclass(frozen=True)
class RowsHash:
    """The SHA-256 of a frame's rows in their order, and the first digits of each column's."""

    sha256: str
    columns: dict[str, str]


def hash_frame(frame: pl.DataFrame) -> RowsHash:
    """Hash names, types and values by column; the order of the columns does not matter, that of the rows does."""
    digests = {name: _hash_column(frame[name]) for name in sorted(frame.columns)}
    whole = hashlib.sha256("".join(f"{name} {digest}\n" for name, digest in digests.items()).encode())
    return RowsHash(whole.hexdigest(), {name: digest[:SHOWN] for name, digest in digests.items()})


def hash_readings(readings_NC: NDArray[np.float32]) -> list[bytes]:
    """The SHA-256 of each row of readings as little-endian float32, every missing one as the same NaN."""
    return _digests(readings_NC)


def hash_whole_windows(readings_BLC: NDArray[np.float32]) -> list[bytes]:
    """The SHA-256 of each window's readings, written as those of a row: for windows that share no rows."""
    return _digests(readings_BLC)


def hash_signal(signal_CT: NDArray[np.float32]) -> bytes:
    """The SHA-256 of a signal without its padding: its channels and samples, then its values as those of a row."""
    shape = np.array(signal_CT.shape, "<i8").tobytes()
    return hashlib.sha256(shape + _digests(signal_CT.reshape(1, -1))[0]).digest()


def hash_windows(rows_N: list[bytes], ends_B: NDArray[np.int64], length: int) -> list[bytes]:
    """The SHA-256 of each window's row hashes; for windows of one row the row's own."""
    if length == 1:
        return [rows_N[end] for end in ends_B]
    return [hashlib.sha256(b"".join(rows_N[end + 1 - length : end + 1])).digest() for end in ends_B]


def _digests(readings: NDArray[np.float32]) -> list[bytes]:
    canonical = np.where(np.isnan(readings), np.float32(np.nan), readings + np.float32(0)).astype("<f4").tobytes()
    size = len(canonical) // max(1, len(readings))
    return [hashlib.sha256(canonical[i : i + size]).digest() for i in range(0, len(canonical), max(1, size))]


def _hash_column(column: pl.Series) -> str:
    hasher = hashlib.sha256(f"{column.name} {column.dtype} {len(column)}\n".encode())
    hasher.update(np.packbits(column.is_null().to_numpy()).tobytes())
    if isinstance(column.dtype, pl.List):
        hasher.update(column.list.len().fill_null(0).to_numpy().astype("<i8").tobytes())
        hasher.update(_hash_column(column.explode(empty_as_null=False)).encode())
        return hasher.hexdigest()
    if column.dtype == pl.String:
        texts = column.fill_null("")
        hasher.update(texts.str.len_bytes().to_numpy().astype("<i8").tobytes())
        hasher.update("".join(texts.to_list()).encode())
        return hasher.hexdigest()
    values = column.to_physical().fill_null(0).to_numpy()
    hasher.update(values.astype(values.dtype.newbyteorder("<")).tobytes())
    return hasher.hexdigest()
