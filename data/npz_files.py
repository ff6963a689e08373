"""npz files: named arrays, opened without ever unpickling, and never larger in memory than they say on disk."""

import math
import zipfile
from collections.abc import Iterator
from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data.bad_batch import BadBatch

LARGEST_BYTES = 4 * 2**30
_HEADERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}

Arrays = dict[str, NDArray[Any]]


def read_npz(content: bytes) -> Arrays:
    """All arrays of an npz file by name.

    Raises BadBatch for a file that is none or cut off, an array of Python objects, one that holds less than it
    claims, and more than 4 GiB.
    """
    try:
        with zipfile.ZipFile(BytesIO(content)) as archive:
            members = archive.infolist()
            if sum(member.file_size for member in members) > LARGEST_BYTES:
                raise BadBatch(f"the npz file holds more than {LARGEST_BYTES / 2**30:g} GiB; deliver it in parts")
            return {m.filename.removesuffix(".npy"): read_npy(archive.read(m), m.filename) for m in members}
    except (zipfile.BadZipFile, EOFError, OSError, NotImplementedError, RuntimeError) as error:
        raise BadBatch(f"the file is not a readable npz file ({error}); deliver it again") from None


def read_npy(content: bytes, name: str) -> NDArray[Any]:
    """One array; raises BadBatch as `read_npz` does."""
    stream = BytesIO(content)
    try:
        shape, _, dtype = _HEADERS[np.lib.format.read_magic(stream)](stream)
    except (ValueError, KeyError):
        raise BadBatch(f"{name} is no NumPy array; an npz file holds .npy files alone") from None
    if dtype.hasobject:
        raise BadBatch(f"{name} holds Python objects, which are never opened; save numbers or text")
    if math.prod(shape) * dtype.itemsize != len(content) - stream.tell():
        raise BadBatch(f"{name} claims the shape {shape} of {dtype}, which its bytes do not hold; deliver it again")
    return np.load(BytesIO(content), allow_pickle=False)


def cut_npz(content: bytes, rows: int) -> Iterator[bytes] | None:
    """npz files of `rows` signals each; None where the file is no longer or cannot be read.

    Arrays as long as the longest are cut, all others (such as names) are in every part.
    """
    try:
        arrays = read_npz(content)
    except BadBatch:
        return None
    lengths = [len(array) for array in arrays.values() if array.ndim]
    signals = max(lengths, default=0)
    if signals <= rows:
        return None
    return (_part(arrays, signals, start, rows) for start in range(0, signals, rows))


def write_npz(arrays: Arrays) -> bytes:
    """The bytes of an npz file."""
    buffer = BytesIO()
    np.savez(buffer, allow_pickle=False, **arrays)
    return buffer.getvalue()


def _part(arrays: Arrays, signals: int, start: int, rows: int) -> bytes:
    long = {name for name, array in arrays.items() if array.ndim and len(array) == signals}
    return write_npz({name: a[start : start + rows] if name in long else a for name, a in arrays.items()})
