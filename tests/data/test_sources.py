import gzip
import hashlib
from io import BytesIO
from pathlib import Path

import polars as pl
import pytest

from data.sources import Arrival, drop_into, iter_arrivals

CSV = b"a,b\n1,2\n3,4\n5,6\n"


def names(folder: Path, batch_rows: int | None = None) -> list[str]:
    return [a.name for a in iter_arrivals([folder], batch_rows)]


def test_id_is_the_hash_of_the_content() -> None:
    assert Arrival("x.csv", CSV, "csv").id == hashlib.sha256(CSV).hexdigest()


def test_a_folder_gives_finished_files_in_order_of_name(tmp_path: Path) -> None:
    for name in ["b.csv", "a.parquet", "c.csv.gz", "d.csv.part", ".e.csv", "notes.txt", "D.CSV"]:
        (tmp_path / name).write_bytes(CSV)
    (tmp_path / "folder.csv").mkdir()
    arrivals = list(iter_arrivals([tmp_path]))
    assert [(a.name, a.format) for a in arrivals] == [
        ("D.CSV", "csv"),
        ("a.parquet", "parquet"),
        ("b.csv", "csv"),
        ("c.csv.gz", "csv.gz"),
    ]


def test_sources_come_in_the_order_given(tmp_path: Path) -> None:
    for name in ["a.csv", "b.csv"]:
        (tmp_path / name).write_bytes(CSV)
    assert [a.name for a in iter_arrivals([tmp_path / "b.csv", tmp_path / "a.csv"])] == ["b.csv", "a.csv"]


@pytest.mark.parametrize(("source", "said"), [("gone", "there is no source .*gone"), ("notes.txt", "ending in .csv")])
def test_a_source_that_cannot_be_is_refused_at_once(tmp_path: Path, source: str, said: str) -> None:
    (tmp_path / "notes.txt").write_bytes(b"")
    with pytest.raises(ValueError, match=said):
        iter_arrivals([tmp_path, tmp_path / source])


def test_batch_rows_must_be_positive(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        iter_arrivals([tmp_path], 0)


@pytest.mark.parametrize("content", [CSV, CSV.rstrip(), CSV.replace(b"\n", b"\r\n"), CSV + b"\n\n"])
@pytest.mark.parametrize("suffix", [".csv", ".csv.gz"])
def test_a_long_file_is_cut_under_its_header(tmp_path: Path, content: bytes, suffix: str) -> None:
    file = tmp_path / f"line{suffix}"
    file.write_bytes(gzip.compress(content) if suffix == ".csv.gz" else content)
    cuts = list(iter_arrivals([file], 2))
    assert [(c.name, c.content, c.format) for c in cuts] == [
        (f"line{suffix}[1]", b"a,b\n1,2\n3,4\n", "csv"),
        (f"line{suffix}[2]", b"a,b\n5,6\n", "csv"),
    ]


def test_a_short_file_keeps_its_name_and_bytes(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(CSV)
    assert names(tmp_path, 3) == ["a.csv"]
    assert next(iter_arrivals([tmp_path], 3)).content == CSV


def test_parquet_is_cut_and_the_cuts_are_the_same_each_time(tmp_path: Path) -> None:
    frame = pl.DataFrame({"a": range(5)})
    frame.write_parquet(tmp_path / "p.parquet")
    cuts = list(iter_arrivals([tmp_path], 2))
    assert [c.name for c in cuts] == ["p.parquet[1]", "p.parquet[2]", "p.parquet[3]"]
    assert pl.concat([pl.read_parquet(BytesIO(c.content)) for c in cuts]).equals(frame)
    assert [c.id for c in cuts] == [c.id for c in iter_arrivals([tmp_path], 2)]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.parquet", b"PAR1 broken"),
        ("a.csv.gz", gzip.compress(CSV * 50, mtime=0)[:30]),
        ("a.csv", b"a,b\n" + b"\0\1\n" * 9),
        ("a.csv", b'a,b\n1,"x\ny"\n2,z\n3,z\n'),
        ("a.csv", b""),
    ],
)
def test_what_cannot_be_cut_comes_whole(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    assert [(a.name, a.content) for a in iter_arrivals([tmp_path], 1)] == [(name, content)]


def test_drop_into_leaves_only_the_finished_file(tmp_path: Path) -> None:
    inbox = tmp_path / "inbox"
    assert drop_into(inbox, "a.csv", CSV).read_bytes() == CSV
    assert [f.name for f in inbox.iterdir()] == ["a.csv"]


@pytest.mark.parametrize("name", ["../a.csv", "x/a.csv", ".a.csv", "a.txt", ""])
def test_drop_into_refuses_names_that_an_inbox_would_not_read(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match="no name for an inbox"):
        drop_into(tmp_path, name, CSV)
