import json
from pathlib import Path

import polars as pl
import pytest

from data.quarantine import quarantine_batch, quarantine_rows
from data.sources import Arrival


def test_rows_with_their_reason_and_place(tmp_path: Path) -> None:
    frame = pl.DataFrame({"a": [1.0, 2.0, 3.0]})
    file = quarantine_rows(tmp_path / "rows", "abc", frame, {2: "third", 0: "first"})
    assert pl.read_parquet(file).to_dict(as_series=False) == {
        "a": [1.0, 3.0],
        "lehr_row": [1, 3],
        "reason": ["first", "third"],
    }
    assert quarantine_rows(tmp_path / "rows", "abc", frame, {1: "second"}) == file
    assert [f.name for f in file.parent.iterdir()] == ["abc.parquet"]


def test_the_rows_place_in_the_delivered_file_is_kept(tmp_path: Path) -> None:
    frame = pl.DataFrame({"a": [1.0, 2.0], "lehr_row": [7, 9]})
    assert pl.read_parquet(quarantine_rows(tmp_path, "abc", frame, {1: "x"}))["lehr_row"].to_list() == [9]


def test_nothing_to_quarantine(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no rows"):
        quarantine_rows(tmp_path, "abc", pl.DataFrame({"a": [1]}), {})


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("line.csv[3]", "line_3.csv"),
        ("../../etc/x.csv", "x.csv"),
        ("öfen 1.csv", "fen_1.csv"),
        ("x.CSV", "x.csv"),
        ("..csv", "batch.csv"),
    ],
)
def test_a_batch_keeps_its_bytes_and_reason(tmp_path: Path, name: str, file: str) -> None:
    arrival = Arrival(name, b"a,b\n1\n", "csv")
    folder = quarantine_batch(tmp_path, arrival, "the last row is cut off")
    assert folder == tmp_path / arrival.id
    assert (folder / file).read_bytes() == arrival.content
    note = json.loads((folder / "reason.json").read_text())
    assert note == {"batch": arrival.id, "name": name, "format": "csv", "reason": "the last row is cut off"}


def test_a_second_time_changes_nothing_and_half_a_folder_is_no_folder(tmp_path: Path) -> None:
    arrival = Arrival("x.csv", b"?", "csv")
    (tmp_path / f".{arrival.id}.part").mkdir()
    (tmp_path / f".{arrival.id}.part" / "half").write_bytes(b"")
    folder = quarantine_batch(tmp_path, arrival, "first")
    assert quarantine_batch(tmp_path, arrival, "second") == folder
    assert json.loads((folder / "reason.json").read_text())["reason"] == "first"
    assert sorted(f.name for f in folder.iterdir()) == ["reason.json", "x.csv"]
    assert [f.name for f in tmp_path.iterdir()] == [arrival.id]
