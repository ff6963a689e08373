"""Signals that are delivered as npz: told by their arrays, and refused where they are none or unpack to too much."""

from pathlib import Path

import numpy as np
import pytest

from data.npz_files import write_npz
from service.ingestion.receiving import Received, columns_of
from service.problems import Problem


def received(path: Path, content: bytes) -> Received:
    path.write_bytes(content)
    return Received(path, "x.npz", "0" * 64, len(content))


def test_the_arrays_are_its_columns(tmp_path: Path) -> None:
    file = received(tmp_path / "x", write_npz({"signals": np.zeros((2, 3)), "element_ids": np.array(["a", "b"])}))
    assert (file.format, columns_of(file, 10_000)) == ("npz", ["signals", "element_ids"])


def test_what_is_none_or_too_large_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Problem) as broken:
        columns_of(received(tmp_path / "x", b"PK cut"), 10_000)
    assert "is broken, or no npz file" in str(broken.value.detail)
    with pytest.raises(Problem) as large:
        columns_of(received(tmp_path / "x", write_npz({"signals": np.zeros(2000)})), 10_000)
    assert large.value.status_code == 413
