"""Cutting one long file into several that each could have arrived by themselves."""

import gzip
import zlib
from collections.abc import Iterator
from io import BytesIO

import polars as pl


def cut_csv(content: bytes, rows: int, *, zipped: bool) -> Iterator[bytes] | None:
    """Plain CSV files of `rows` lines, each under the header; None where the file is no longer or cannot be cut.

    A quoted value that holds a line break cannot be cut by lines, so such a file stays whole.
    """
    plain = _unzip(content) if zipped else content
    if plain is None or b"\0" in plain:
        return None
    lines = plain.splitlines(keepends=True) if b"\n" not in plain else plain.split(b"\n")
    header, *body = [line for line in (line.rstrip(b"\r\n") for line in lines) if line.strip()] or [b""]
    if len(body) <= rows or (b'"' in plain and any(line.count(b'"') % 2 for line in [header, *body])):
        return None
    return (b"\n".join([header, *body[i : i + rows], b""]) for i in range(0, len(body), rows))


def cut_parquet(content: bytes, rows: int) -> Iterator[bytes] | None:
    """Parquet files of `rows` rows; None where the file is no longer or cannot be read."""
    try:
        frame = pl.read_parquet(BytesIO(content))
    except (pl.exceptions.PolarsError, OSError):
        return None
    if frame.height <= rows:
        return None
    return (_parquet_bytes(frame.slice(i, rows)) for i in range(0, frame.height, rows))


def _unzip(content: bytes) -> bytes | None:
    try:
        return gzip.decompress(content)
    except (OSError, EOFError, zlib.error):
        return None


def _parquet_bytes(frame: pl.DataFrame) -> bytes:
    buffer = BytesIO()
    frame.write_parquet(buffer)
    return buffer.getvalue()
